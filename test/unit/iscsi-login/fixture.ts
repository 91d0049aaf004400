import { LoginNegotiation } from '../../../src/iscsi-target/login/login-negotiation.ts'
import type {
  LoginEnvironment,
  LoginOutcome,
  LoginStep,
} from '../../../src/iscsi-target/login/login-outcome.ts'
import {
  defaultLoginParameters,
  type LoginParameters,
} from '../../../src/iscsi-target/login/login-parameters.ts'
import type { ChapPolicy, TargetDirectory } from '../../../src/iscsi-target/target-directory.ts'
import { type KeyValue, parseKeyValues } from '../../../src/iscsi-target/text/key-value.ts'
import type { LoginRequestFields } from '../../../src/iscsi-target/wire/login.ts'
import type { LoginStatus } from '../../../src/iscsi-target/wire/login-status.ts'
import { isRejection } from '../../../src/iscsi-target/wire/rejection.ts'
import type { ScsiTarget } from '../../../src/scsi/scsi-target.ts'

export const INITIATOR = 'iqn.2026-11.test:initiator'
export const TARGET = 'iqn.2026-11.io.holdfast:demo'
export const GUARDED = 'iqn.2026-11.io.holdfast:guarded'
export const PORTAL_GROUP_TAG = 3
export const IDENTITY = `InitiatorName=${INITIATOR}\0TargetName=${TARGET}\0`
export const DISCOVERY = `InitiatorName=${INITIATOR}\0SessionType=Discovery\0`

export const POLICY: ChapPolicy = {
  user: 'alice',
  secret: Buffer.from('alice-secret-1'),
  mutual: { user: 'target', secret: Buffer.from('target-secret-1') },
}

/** No SCSI here: a login only passes the target on. */
function scsiTarget(name: string): ScsiTarget {
  return { name } as ScsiTarget
}

export interface World {
  readonly parameters?: Partial<LoginParameters>
  readonly policy?: ChapPolicy
  readonly discoveryPolicy?: ChapPolicy
  readonly sessionStatus?: LoginStatus
  readonly commandWindow?: number
}

export function directory({ policy = POLICY, discoveryPolicy }: World = {}): TargetDirectory {
  return {
    targetPortalGroupTag: PORTAL_GROUP_TAG,
    discover: (_, name) =>
      [TARGET, GUARDED]
        .filter(target => name === null || name === target)
        .map(target => ({
          name: target,
          portals: [
            { address: '127.0.0.1:3260', portalGroupTag: PORTAL_GROUP_TAG },
            { address: '[::1]:3260', portalGroupTag: PORTAL_GROUP_TAG },
          ],
        })),
    lookUp(name) {
      if (name === TARGET) return { found: 'yes', target: scsiTarget(name), chap: null }
      if (name === GUARDED) return { found: 'yes', target: scsiTarget(name), chap: policy }
      if (name.endsWith(':moved')) return { found: 'moved', address: '192.0.2.7:3260' }
      if (name.endsWith(':forbidden')) return { found: 'forbidden' }
      return { found: name.endsWith(':recovering') ? 'unavailable' : 'no' }
    },
    isAbsent: async () => true,
    discoveryChap: () => discoveryPolicy ?? null,
  }
}

export interface Answer {
  readonly step: LoginStep
  readonly status: number
  readonly keys: ReadonlyMap<string, string>
  readonly outcome: LoginOutcome | null
}

/** An initiator's side of a login, request by request. */
export class Login {
  readonly negotiation: LoginNegotiation
  /** Every byte that the negotiation asked for, in order. */
  readonly random: Buffer[] = []

  constructor(world: World = {}) {
    const environment: LoginEnvironment = {
      directory: directory(world),
      contact: { listener: 0, localAddress: '127.0.0.1:3260' },
      parameters: { ...defaultLoginParameters, ...world.parameters },
      commandWindow: world.commandWindow ?? 128,
      randomBytes: lengthBytes => {
        const bytes = Buffer.alloc(lengthBytes, 0x40 + this.random.length)
        this.random.push(bytes)
        return bytes
      },
      sessionStatus: () => world.sessionStatus ?? 0,
    }
    this.negotiation = new LoginNegotiation(environment)
  }

  /** Defaults are those of a first request from the operational stage into full feature phase. */
  send(text: string | Buffer, fields: Partial<LoginRequestFields> = {}): Answer {
    const request: LoginRequestFields = {
      transit: true,
      continued: false,
      csg: 1,
      nsg: 3,
      versionMax: 0,
      versionMin: 0,
      isid: '00023d000001',
      tsih: 0,
      itt: 1,
      cid: 0,
      cmdSn: 100,
      expStatSn: 500,
      ...fields,
    }
    const step = this.negotiation.receive(request, Buffer.from(text))
    if (step.next === 'close') return { step, status: -1, keys: new Map(), outcome: null }
    const { header, data } = step.reply
    const pairs = parseKeyValues(data)
    if (isRejection(pairs)) throw new Error(pairs.fault)
    return {
      step,
      status: header.statusClass * 256 + header.statusDetail,
      keys: new Map(pairs.map(({ key, value }: KeyValue) => [key, value])),
      outcome: step.next === 'established' ? step.outcome : null,
    }
  }
}

import type { BlockExtent } from '../block/block-device.ts'
import type { LoggedOperation, OperationFate } from '../replication/operation-log.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { RegistrantName } from '../volume/reservations/reservation-state.ts'
import type {
  ReservationAction,
  ReservationNotice,
  ReservationRefusal,
} from '../volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../volume/sanitize/sanitize-state.ts'
import type { StreamKey } from './client-key.ts'

/** What a gateway asks of a volume's owner, besides block operations. The volume is a field of the request. */
export interface OwnerPort {
  /** From now on events of the volume come to this gateway. */
  attach(): Promise<OwnerState>
  /** The number by which operations name the client. */
  openClient(client: ClientIdentity): Promise<number>
  closeClient(number: number): Promise<null>
  /** Takes back the operation `tag` if it has touched nothing yet. */
  abort(tag: number): Promise<null>
  /** A stream that a former owner numbered. Answered after the window of PROTOCOL rule 17. */
  resume(stream: ResumedStream): Promise<ResumeAnswer>
  /** What was in doubt is repeated; resolves when new operations may begin. False: too late, the stream is dead. */
  settled(number: number): Promise<boolean>
  /** A new number for a client's stream; older ones, wherever they are, are dead before it is answered. */
  register(key: StreamKey, rightsVersion: number): Promise<number>
  /**
   * Kills the streams of this initiator, and from now on takes none from gateways that have not heard of
   * `rightsVersion`. Answered when nothing of them can have an effect any more, by whoever still is the owner then.
   */
  fence(initiator: string, rightsVersion: number): Promise<null>
  /** How operations of a live stream ended whose answers were lost. */
  outcomes(number: number, sequences: readonly number[]): Promise<readonly Outcome[]>
  /** As they are stored, in base 64; still in force when this is answered. */
  reservations(): Promise<string>
  reserve(client: ClientIdentity, action: WireAction): Promise<'done' | ReservationRefusal>
  reserveUnit(client: ClientIdentity): Promise<boolean>
  releaseUnit(client: ClientIdentity): Promise<null>
  endUnit(): Promise<null>
  sanitize(order: SanitizeOrder): Promise<boolean>
  exitSanitizeFailure(): Promise<boolean>
  extents(offsetBytes: number, lengthBytes: number): Promise<readonly BlockExtent[]>
}

const CALL_NAMES: Record<keyof OwnerPort, true> = {
  attach: true,
  openClient: true,
  closeClient: true,
  abort: true,
  resume: true,
  settled: true,
  register: true,
  fence: true,
  outcomes: true,
  reservations: true,
  reserve: true,
  reserveUnit: true,
  releaseUnit: true,
  endUnit: true,
  sanitize: true,
  exitSanitizeFailure: true,
  extents: true,
}
export const OWNER_CALLS = Object.keys(CALL_NAMES) as readonly (keyof OwnerPort)[]

export interface ResumedStream {
  readonly key: StreamKey
  /** From the former owner. */
  readonly number: number
  /** Writes of it that may or may not have taken effect. */
  readonly inDoubt: number
  /** Those, one by one. PROTOCOL rule 18. */
  readonly asks: readonly DoubtfulOperation[]
  /** What the gateway has heard of lost rights to the volume. */
  readonly rightsVersion: number
}

/** An operation of a stream that may or may not have taken effect. */
export type DoubtfulOperation = Omit<LoggedOperation, 'stream'>

/** `number` null: the stream is dead. `fates`: of what was asked, in the same order. */
export interface ResumeAnswer {
  readonly number: number | null
  readonly fates: readonly OperationFate[]
}

/** Null: it never came. `unknown`: that is too long ago to be remembered. */
export type Outcome = readonly [status: number, failedAtBytes: number] | 'unknown' | null

/** What the owner knows of its volume and every gateway should. */
export interface OwnerState {
  readonly epoch: number
  /** Rises within the epoch: answers and events may overtake each other, and the older state says nothing. */
  readonly number: number
  readonly sizeBytes: number
  readonly readOnly: boolean
  readonly lossGeneration: number
  /** As they are stored, in base 64. */
  readonly reservations: string
  readonly isUnitReserved: boolean
  /** A BlockStatus: ok, sanitizing or sanitizeFailed. */
  readonly sanitizeRefusal: number
  readonly sanitizeProgress: number
}

/** What an owner tells gateways. */
export type OwnerEvent =
  | { readonly is: 'state'; readonly state: OwnerState }
  | { readonly is: 'notice'; readonly notice: ReservationNotice }
  /** Answered when none of their commands can have an effect any more. */
  | { readonly is: 'abortTasks'; readonly registrants: readonly RegistrantName[] }
  | { readonly is: 'streamDead'; readonly key: StreamKey; readonly number: number }

/** A control request to an owner: `call` is a method of OwnerPort. */
export interface GatewayCall {
  readonly what: 'gatewayCall'
  readonly call: keyof OwnerPort
  readonly args: readonly unknown[]
}

/** A control request to a gateway. */
export interface GatewayEvent {
  readonly what: 'gatewayEvent'
  readonly epoch: number
  readonly event: OwnerEvent
}

/** A control request to a gateway: who has the volume open there? Answered with their names. */
export interface GatewayQuestion {
  readonly what: 'gatewayQuestion'
}

export type GatewayBody = GatewayCall | GatewayEvent | GatewayQuestion

const BODIES: readonly unknown[] = ['gatewayCall', 'gatewayEvent', 'gatewayQuestion']

export function asGatewayBody(body: unknown): GatewayBody | null {
  return BODIES.includes((body as { what?: unknown } | null)?.what) ? (body as GatewayBody) : null
}

type Keys = 'key' | 'newKey' | 'victimKey'

/** A ReservationAction whose keys are decimal text. */
export type WireAction = { readonly [K in Keys]?: string } & {
  readonly do: ReservationAction['do']
  readonly persist?: boolean
  readonly type?: number | null
}

export function toWireAction(action: ReservationAction): WireAction {
  const entries = Object.entries(action).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? `${value}` : value,
  ])
  return Object.fromEntries(entries) as WireAction
}

const KEY = /^\d{1,20}$/

/** Throws when it is none. */
export function fromWireAction(action: WireAction): ReservationAction {
  const keys: Record<string, bigint> = {}
  for (const name of ['key', 'newKey', 'victimKey'] as const) {
    const text = action[name]
    if (text === undefined) continue
    if (!KEY.test(text)) throw new TypeError('a reservation key is a decimal number')
    keys[name] = BigInt(text)
  }
  return { ...action, ...keys } as unknown as ReservationAction
}

/** Bits of `flags` in a forwarded operation: its BlockKind below, and */
export const ForwardFlag = { kindMask: 0xff, fua: 0x100 } as const

import { ContinuedText } from '../text/continued-text.ts'
import { encodeKeyValues, type KeyValue, parseKeyValues } from '../text/key-value.ts'
import { REJECT } from '../text/values.ts'
import { type LoginRequestFields, type LoginResponseFields, LoginStage } from '../wire/login.ts'
import { LoginStatus } from '../wire/login-status.ts'
import { isRejection } from '../wire/rejection.ts'
import { serialAdd } from '../wire/serial-number.ts'
import { IDENTITY_KEYS, identify, type Refusal } from './login-identity.ts'
import type { LoginEnvironment, LoginIdentity, LoginReply, LoginStep } from './login-outcome.ts'
import { checkLoginRequest, ISCSI_VERSION } from './login-request-checks.ts'
import { declareInitiatorMaxRecv, MAX_RECV_KEY, negotiateKey } from './negotiate-key.ts'
import { defaultNegotiatedParameters, TARGET_ONLY_KEYS } from './operational-keys.ts'
import { SECURITY_KEYS, SecurityStage } from './security-stage.ts'

const NO_PAIRS: readonly KeyValue[] = []

function initiatorError(fault: string): Refusal {
  return { status: LoginStatus.initiatorError, fault }
}

/** The login phase of one connection: requests in, responses and in the end an outcome out. RFC 7143 §6.3. */
export class LoginNegotiation {
  readonly #environment: LoginEnvironment
  readonly #agreed = defaultNegotiatedParameters()
  readonly #text = new ContinuedText()
  /** Everything that the initiator has said, to find keys said twice. */
  readonly #said = new Map<string, string>()
  #first: LoginRequestFields | null = null
  #stage: number | null = null
  #requests = 0
  #responses = 0
  #identity: LoginIdentity | null = null
  #security: SecurityStage | null = null
  #maxRecvSettled = false

  constructor(environment: LoginEnvironment) {
    this.#environment = environment
  }

  /** `data` is the data segment without padding; it is read during the call alone. */
  receive(request: LoginRequestFields, data: Buffer): LoginStep {
    this.#first ??= request
    this.#requests++
    const fault = checkLoginRequest(request, this.#first, this.#stage, this.#requests)
    if (fault !== null) return this.#refuse(request, fault)
    this.#stage = request.csg
    const overflow = this.#text.append(data)
    if (overflow !== null) return this.refuse(request, LoginStatus.initiatorError, overflow.fault)
    if (request.continued) return { next: 'answer', reply: this.#reply(request, false, NO_PAIRS) }
    return this.#receiveSequence(request, this.#text.take())
  }

  /** Null while the initiator has named none. */
  get targetName(): string | null {
    return this.#said.get('TargetName') ?? null
  }

  /** A refusal that the session layer decides on: out of resources, session gone. */
  refuse(request: LoginRequestFields, status: LoginStatus, fault: string): LoginStep {
    return this.#refuse(request, { status, fault })
  }

  #refuse(request: LoginRequestFields, { status, fault, targetAddress }: Refusal): LoginStep {
    this.#first ??= request
    const pairs = targetAddress === undefined ? NO_PAIRS : [{ key: 'TargetAddress', value: targetAddress }]
    return { next: 'refused', status, fault, reply: this.#reply(request, false, pairs, status) }
  }

  #receiveSequence(request: LoginRequestFields, text: Buffer): LoginStep {
    const pairs = parseKeyValues(text)
    if (isRejection(pairs)) return this.refuse(request, LoginStatus.initiatorError, pairs.fault)
    const fault = this.#hear(pairs)
    if (fault !== null) return this.#refuse(request, fault)
    const answers: KeyValue[] = []
    if (this.#identity === null) {
      const refusal = this.#enter(request, answers)
      if (refusal !== null) return this.#refuse(request, refusal)
    }
    const negotiable = pairs.filter(({ key }) => !IDENTITY_KEYS.has(key))
    const security = this.#security!.receive(
      new Map(negotiable.filter(({ key }) => SECURITY_KEYS.has(key)).map(({ key, value }) => [key, value])),
    )
    if (security.next === 'close') return security
    if (security.next === 'refused') {
      return this.#refuse(request, security.refusal)
    }
    answers.push(...security.pairs)
    this.#answerOperational(request, negotiable, answers)
    return this.#transit(request, answers)
  }

  /** Takes note of what was said; a key said twice is an error of the initiator. RFC 7143 §6.2. */
  #hear(pairs: readonly KeyValue[]): Refusal | null {
    for (const { key, value } of pairs) {
      if (TARGET_ONLY_KEYS.has(key) || key === 'SendTargets') {
        return initiatorError(`an initiator may not send ${key} during login`)
      }
      if (SECURITY_KEYS.has(key) && this.#stage !== LoginStage.security) {
        return initiatorError(`${key} outside the security stage`)
      }
      const before = this.#said.get(key)
      const saidAgain = IDENTITY_KEYS.has(key) && before === value
      if (before !== undefined && !saidAgain) return initiatorError(`${key} was sent twice`)
      if (
        before === undefined &&
        this.#identity !== null &&
        IDENTITY_KEYS.has(key) &&
        key !== 'InitiatorAlias'
      ) {
        return initiatorError(`${key} belongs into the first login request`)
      }
      this.#said.set(key, value)
    }
    return null
  }

  /** The first request is complete: who is it, and may they come in? */
  #enter(request: LoginRequestFields, answers: KeyValue[]): Refusal | null {
    const { directory, parameters, contact } = this.#environment
    const found = identify(this.#said, request, directory, contact)
    if (!('identity' in found)) return found
    const { identity, chap } = found
    if (request.tsih !== 0) {
      const status = this.#environment.sessionStatus(identity)
      if (status !== LoginStatus.success) return { status, fault: 'TSIH of no session that this may join' }
    }
    if (chap !== null && request.csg !== LoginStage.security) {
      return {
        status: LoginStatus.authenticationFailure,
        fault: 'login skips authentication, which is needed',
      }
    }
    if (identity.sessionType === 'normal') {
      answers.push({ key: 'TargetPortalGroupTag', value: String(directory.targetPortalGroupTag) })
    }
    this.#identity = identity
    this.#security = new SecurityStage(chap, parameters, bytes => this.#environment.randomBytes(bytes))
    return null
  }

  #answerOperational(request: LoginRequestFields, pairs: readonly KeyValue[], answers: KeyValue[]): void {
    const ours = this.#environment.parameters
    const negotiation = { sessionType: this.#identity!.sessionType, ours, agreed: this.#agreed }
    const last = pairs.filter(({ key }) => key === 'FirstBurstLength')
    for (const pair of [...pairs.filter(({ key }) => key !== 'FirstBurstLength'), ...last]) {
      if (SECURITY_KEYS.has(pair.key)) continue
      if (pair.key === MAX_RECV_KEY) {
        this.#settleMaxRecv(declareInitiatorMaxRecv(pair.value, this.#agreed), answers)
        continue
      }
      const value = negotiateKey(pair, negotiation)
      if (value !== null) answers.push({ key: pair.key, value })
    }
    if (request.csg === LoginStage.operational && !this.#maxRecvSettled) this.#settleMaxRecv(true, answers)
  }

  /** Each side declares its own, once; a Reject of theirs uses up our word for this key. RFC 7143 §13.12. */
  #settleMaxRecv(declare: boolean, answers: KeyValue[]): void {
    const ours = this.#environment.parameters.maxRecvDataSegmentLength
    if (declare) this.#agreed.targetMaxRecvDataSegmentLength = ours
    if (!declare || !this.#maxRecvSettled) {
      answers.push({ key: MAX_RECV_KEY, value: declare ? String(ours) : REJECT })
    }
    this.#maxRecvSettled = true
  }

  #transit(request: LoginRequestFields, answers: readonly KeyValue[]): LoginStep {
    const security = this.#security!
    if (request.transit && !security.satisfied && !security.underWay) {
      return this.refuse(request, LoginStatus.authenticationFailure, 'initiator offers no authentication')
    }
    const transit = request.transit && security.satisfied
    const reply = this.#reply(request, transit, answers)
    if (transit) this.#stage = request.nsg
    if (this.#stage !== LoginStage.fullFeature) return { next: 'answer', reply }
    const { firstBurstLength, maxBurstLength } = this.#agreed
    const parameters = { ...this.#agreed, firstBurstLength: Math.min(firstBurstLength, maxBurstLength) }
    const nextStatSn = serialAdd(reply.header.statSn, 1)
    const { expCmdSn } = reply.header
    const { chapUser, proof } = security
    const outcome = { ...this.#identity!, parameters, chapUser, proof, nextStatSn, expCmdSn }
    return { next: 'established', reply, outcome }
  }

  #reply(
    request: LoginRequestFields,
    transit: boolean,
    pairs: readonly KeyValue[],
    status: LoginStatus = LoginStatus.success,
  ): LoginReply {
    const first = this.#first!
    const header: LoginResponseFields = {
      transit,
      continued: false,
      csg: request.csg,
      nsg: transit ? request.nsg : 0,
      isid: request.isid,
      tsih: request.tsih,
      itt: request.itt,
      versionMax: ISCSI_VERSION,
      versionActive: ISCSI_VERSION,
      // The first response sets StatSN; the initiator's expectation is as good a start as any. §4.2.2.2.
      statSn: serialAdd(first.expStatSn, this.#responses++),
      expCmdSn: first.cmdSn,
      maxCmdSn: serialAdd(first.cmdSn, this.#environment.commandWindow - 1),
      statusClass: status >>> 8,
      statusDetail: status & 0xff,
    }
    return { header, data: encodeKeyValues(pairs) }
  }
}

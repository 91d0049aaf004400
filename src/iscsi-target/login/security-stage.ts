import { createHash } from 'node:crypto'
import { CHAP_KEYS, ChapExchange, type ChapKeys } from '../chap/chap-exchange.ts'
import type { ChapPolicy } from '../target-directory.ts'
import type { KeyValue } from '../text/key-value.ts'
import { NONE, parseList } from '../text/values.ts'
import { LoginStatus } from '../wire/login-status.ts'
import type { Refusal } from './login-identity.ts'
import type { LoginParameters } from './login-parameters.ts'

const AUTH_METHOD = 'AuthMethod'
const CHAP = 'CHAP'
export const SECURITY_KEYS: ReadonlySet<string> = new Set([AUTH_METHOD, ...CHAP_KEYS])

export type SecurityStep =
  | { readonly next: 'answer'; readonly pairs: readonly KeyValue[] }
  | { readonly next: 'refused'; readonly refusal: Refusal }
  | { readonly next: 'close'; readonly fault: string }

function refused(status: LoginStatus, fault: string): SecurityStep {
  return { next: 'refused', refusal: { status, fault } }
}

/** Authentication of one login, whether it is needed or not. RFC 7143 §6.3.2, §12. */
export class SecurityStage {
  readonly #policy: ChapPolicy | null
  readonly #parameters: LoginParameters
  readonly #randomBytes: (lengthBytes: number) => Buffer
  #exchange: ChapExchange | null = null
  #proved = false

  constructor(
    policy: ChapPolicy | null,
    parameters: LoginParameters,
    randomBytes: (lengthBytes: number) => Buffer,
  ) {
    this.#policy = policy
    this.#parameters = parameters
    this.#randomBytes = randomBytes
  }

  /** True when nothing stands against leaving the stage. */
  get satisfied(): boolean {
    return this.#policy === null || this.#proved
  }

  /** True while an exchange that has begun waits for the initiator. */
  get underWay(): boolean {
    return this.#exchange !== null && !this.#proved
  }

  get chapUser(): string | null {
    return this.#proved && this.#policy !== null ? this.#policy.user : null
  }

  /** See Nexus: it tells secrets apart without giving them away. */
  get proof(): string | null {
    if (!this.#proved || this.#policy === null) return null
    const { user, secret } = this.#policy
    return createHash('sha256').update(`${user}\0`).update(secret).digest('hex')
  }

  receive(keys: ReadonlyMap<string, string>): SecurityStep {
    const methods = keys.get(AUTH_METHOD)
    const chapKeys: ChapKeys = Object.fromEntries([...keys].filter(([key]) => key !== AUTH_METHOD))
    const method = methods === undefined ? [] : this.#chooseMethod(methods)
    if (method === null) {
      return refused(LoginStatus.authenticationFailure, 'no authentication method in common')
    }
    if (Object.keys(chapKeys).length === 0) return { next: 'answer', pairs: method }
    if (this.#exchange === null)
      return refused(LoginStatus.initiatorError, 'CHAP keys without AuthMethod=CHAP')
    return this.#continueChap(this.#exchange, chapKeys, method)
  }

  /** CHAP where it is configured, None where it is not, whatever stands first in the list. */
  #chooseMethod(methods: string): readonly KeyValue[] | null {
    const wanted = this.#policy === null ? NONE : CHAP
    if (!parseList(methods).includes(wanted)) return null
    if (this.#policy !== null) {
      this.#exchange = new ChapExchange(this.#policy, this.#parameters.chapAlgorithms, this.#randomBytes)
    }
    return [{ key: AUTH_METHOD, value: wanted }]
  }

  #continueChap(exchange: ChapExchange, keys: ChapKeys, before: readonly KeyValue[]): SecurityStep {
    const step = exchange.receive(keys)
    switch (step.next) {
      case 'failed':
        return refused(LoginStatus.authenticationFailure, step.fault)
      case 'close':
        return step
      case 'proved':
        this.#proved = true
        return { next: 'answer', pairs: [...before, ...step.pairs] }
      case 'answer':
        return { next: 'answer', pairs: [...before, ...step.pairs] }
    }
  }
}

import type { ScsiTarget } from '../scsi/scsi-target.ts'
import type { SessionLink } from './connection-phase.ts'
import { LOOK_UP_REFUSALS } from './login/login-identity.ts'
import type { LoginIdentity, LoginOutcome } from './login/login-outcome.ts'
import { Session } from './session.ts'
import type { SessionKeeper, SessionSurroundings } from './session-beginning.ts'
import type { PortalContact } from './target-directory.ts'
import { LoginStatus } from './wire/login-status.ts'

const TSIH_MAX = 0xffff

/** All sessions in full feature phase, by TSIH and by who they are; who may take whose place. RFC 7143 §6.3.5. */
export class SessionRegistry implements SessionKeeper {
  readonly #surroundings: SessionSurroundings
  readonly #byTsih = new Map<number, Session>()
  /** By initiator port and target: an I_T nexus has one session. */
  readonly #byNexus = new Map<string, Session>()
  #lastTsih = 0
  #lastId = 0
  #whenEmpty: (() => void)[] = []

  constructor(surroundings: SessionSurroundings) {
    this.#surroundings = surroundings
  }

  get size(): number {
    return this.#byTsih.size
  }

  all(): IterableIterator<Session> {
    return this.#byTsih.values()
  }

  /** A login with a TSIH comes back to its session on the same connection id; a second connection is one too many. */
  sessionStatus(identity: LoginIdentity): LoginStatus {
    if (identity.tsih === 0) return LoginStatus.success
    const session = this.#byTsih.get(identity.tsih)
    if (session === undefined || nexusKey(session.outcome) !== nexusKey(identity)) {
      return LoginStatus.sessionDoesNotExist
    }
    return session.outcome.cid === identity.cid ? LoginStatus.success : LoginStatus.tooManyConnections
  }

  /**
   * Makes the session of a login. One of the same initiator port and target is torn down first, its tasks
   * aborted, and takes as long as they need to end. `decided` gets the session or the status to refuse with.
   */
  admit(
    outcome: LoginOutcome,
    link: SessionLink,
    contact: PortalContact,
    decided: (admitted: Session | LoginStatus) => void,
  ): void {
    const predecessor = this.#byNexus.get(nexusKey(outcome))
    if (predecessor !== undefined) {
      predecessor.drop('reinstated', () => {
        this.sessionEnded(predecessor)
        this.admit(outcome, link, contact, decided)
      })
    } else if (this.size >= this.#surroundings.limits.sessionsMax) {
      decided(LoginStatus.outOfResources)
    } else {
      decided(this.#lateRefusal(outcome, contact) ?? this.#create(outcome, link, contact))
    }
  }

  sessionEnded(session: Session): void {
    if (this.#byTsih.get(session.tsih) === session) this.#byTsih.delete(session.tsih)
    const key = nexusKey(session.outcome)
    if (this.#byNexus.get(key) === session) this.#byNexus.delete(key)
    if (this.size > 0) return
    const waiting = this.#whenEmpty
    this.#whenEmpty = []
    for (const done of waiting) done()
  }

  targetWasReset(target: ScsiTarget): void {
    for (const session of [...this.all()]) {
      if (session.target === target) session.dismiss('targetColdReset', () => {})
    }
  }

  /** Resolves when no session is left: their tasks have ended too. */
  empty(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#whenEmpty.push(resolve))
  }

  #create(outcome: LoginOutcome, link: SessionLink, contact: PortalContact): Session {
    const id = ++this.#lastId
    const tsih = this.#freeTsih(outcome.tsih)
    const logger = this.#surroundings.logger.child({ sessionId: id })
    const session = new Session(
      { ...this.#surroundings, logger },
      { id, tsih, outcome, contact, link, keeper: this },
    )
    this.#byTsih.set(tsih, session)
    this.#byNexus.set(nexusKey(outcome), session)
    session.target?.attach(session.nexus)
    const { initiatorName, sessionType } = outcome
    logger.info(
      {
        initiator: initiatorName,
        target: session.target?.name ?? null,
        sessionType,
        remoteAddress: link.remoteAddress,
      },
      'session begun',
    )
    return session
  }

  /** Rights may have been taken away since the login began, and then its session is not among those that were ended. */
  #lateRefusal(
    { target, initiatorName, chapUser }: LoginOutcome,
    contact: PortalContact,
  ): LoginStatus | null {
    if (target === null) return null
    const now = this.#surroundings.directory.lookUp(target.name, initiatorName, contact)
    // A login that comes again is told where to go.
    if (now.found === 'moved') return LoginStatus.serviceUnavailable
    if (now.found !== 'yes') return LOOK_UP_REFUSALS[now.found].status
    return now.chap === null || now.chap.user === chapUser ? null : LoginStatus.authorizationFailure
  }

  /** A session that is taken up again keeps its TSIH. */
  #freeTsih(wanted: number): number {
    if (wanted !== 0 && !this.#byTsih.has(wanted)) return wanted
    do {
      this.#lastTsih = (this.#lastTsih % TSIH_MAX) + 1
    } while (this.#byTsih.has(this.#lastTsih))
    return this.#lastTsih
  }
}

function nexusKey(identity: LoginIdentity): string {
  return `${identity.initiatorName},i,0x${identity.isid},t,${identity.target?.name ?? ''}`
}

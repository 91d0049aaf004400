import type { BufferPool } from '../net/buffer-pool.ts'
import type { Clock } from '../net/clock.ts'
import type { FaultCounters } from '../net/fault-counters.ts'
import type { Logger } from '../net/logger.ts'
import type { ScsiTarget } from '../scsi/scsi-target.ts'
import type { SessionLink } from './connection-phase.ts'
import type { IscsiLimits } from './limits.ts'
import type { LoginOutcome } from './login/login-outcome.ts'
import type { Session } from './session.ts'
import type { PortalContact, TargetDirectory } from './target-directory.ts'

/** What all sessions of a target share. */
export interface SessionSurroundings {
  readonly directory: TargetDirectory
  readonly limits: IscsiLimits
  readonly pool: BufferPool
  readonly clock: Clock
  readonly faults: FaultCounters
  readonly logger: Logger
}

/** What the registry does for a session. */
export interface SessionKeeper {
  /** The session's tasks are over and its connection is closed. */
  sessionEnded(session: Session): void
  /** TARGET COLD RESET took effect: all sessions of this target end. RFC 7143 §11.5.1. */
  targetWasReset(target: ScsiTarget): void
}

export interface SessionBeginning {
  readonly id: number
  readonly tsih: number
  readonly outcome: LoginOutcome
  readonly contact: PortalContact
  readonly link: SessionLink
  readonly keeper: SessionKeeper
}

import { PATH_KINDS } from './clients/paths.ts'
import { ROAMING_KINDS } from './clients/roaming.ts'
import { ABSENCE_FAULT_KINDS } from './faults/absence.ts'
import { LAST_MEMBER_FAULT_KINDS, LAST_OWNER_FAULT_KINDS } from './faults/aimed-last.ts'
import { LAYOUT_FAULT_KINDS } from './faults/aimed-moves.ts'
import { PATH_FAULT_KINDS } from './faults/aimed-paths.ts'
import { SANITIZE_FAULT_KINDS } from './faults/aimed-sanitizes.ts'
import { ALL_FAULT_KINDS, DISKS_LOST_KIND, ROLLBACK_KIND } from './faults/nemesis.ts'
import { STOP_FAULT_KINDS } from './faults/stops.ts'
import { LAYOUT_KINDS } from './layout/operator.ts'

/** A run that ended early: of some range no member has the volume any more. */
export const UNRECOVERABLE = 'ended: nobody can recover it'

/** Few seeds have them: one replica is enough to go on, something moves, etcd is restored, disks are lost. */
const FEW_SEEDS_KINDS: readonly string[] = [
  ...LAST_MEMBER_FAULT_KINDS,
  ...LAYOUT_FAULT_KINDS,
  ...ABSENCE_FAULT_KINDS,
  ...STOP_FAULT_KINDS,
  ...SANITIZE_FAULT_KINDS,
  ROLLBACK_KIND,
  DISKS_LOST_KIND,
]

/** Only where clients come by gateways. */
const NOT_WITHOUT_GATEWAYS: readonly string[] = [...LAST_OWNER_FAULT_KINDS, ...PATH_FAULT_KINDS]

/** What a run of some seeds must have seen: one that is missing was not tested. */
export const KINDS_OF_A_RUN: readonly string[] = [
  ...ALL_FAULT_KINDS.filter(
    kind => !FEW_SEEDS_KINDS.includes(kind) && !NOT_WITHOUT_GATEWAYS.includes(kind),
  ).map(kind => `fault ${kind}`),
  'takeovers',
  'ejections',
  'regions reconciled',
  'stale messages refused',
  'connection reset by its peer',
  'connection silent for too long',
  'etcd committed without an answer',
  'etcd lease revoked early',
  'lease expired',
  'fsync failed',
  'write error',
  'event replica.joined',
  'torn write',
  'unsynced page lost',
  'segment cleared',
  'look answered',
  'stopped cleanly',
  'segments cleared at once',
]

/** The same where clients come by gateways. */
export const GATEWAY_KINDS: readonly string[] = [
  ...ROAMING_KINDS.map(kind => `fault ${kind}`),
  ...PATH_KINDS.map(kind => `fault ${kind}`),
  'login at a gateway that is not the owner',
  'client connection closed by its gateway',
  ...NOT_WITHOUT_GATEWAYS.map(kind => `fault ${kind}`),
  'operation refused writesLost',
  'operation refused inDoubt',
  'operation refused reservationConflict',
  'reservation reserve done',
  'reservation preemptAndAbort done',
  'takeovers',
]

/** Where operators change the layout. */
const LAYOUT_RUN_KINDS: readonly string[] = [
  ...LAYOUT_KINDS.map(kind => `layout ${kind}`),
  'copy done: move',
  'copy done: for balance',
  'copy done: recreate',
]

/** The same for runs of many seeds. */
export const RARE_KINDS: readonly string[] = [
  ...FEW_SEEDS_KINDS.map(kind => `fault ${kind}`),
  ...LAYOUT_RUN_KINDS,
  'volume recovered by an operator',
  'redo record replayed',
  'stopped in doubt',
  'sanitize ended',
  'sanitize gone on with by another owner',
  'operation refused sanitizing',
  'opened in no doubt after a reboot',
  'etcd applied after its deadline',
  'stamp page torn',
  'write cut short by a kill',
  'no space',
  'etcd stale leader confirms',
  'bytes arrived after their sender was gone',
  'event volume.loss',
]

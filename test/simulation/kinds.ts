import { FAULT_KINDS } from './faults/faults.ts'

/** What a run of many seeds must have seen: one that is missing was not tested. */
export const KINDS_OF_A_RUN: readonly string[] = [
  ...FAULT_KINDS.map(kind => `fault ${kind}`),
  'takeovers',
  'ejections',
  'regions reconciled',
  'stale messages refused',
  'bytes arrived after their sender was gone',
  'connection reset by its peer',
  'connection silent for too long',
  'etcd committed without an answer',
  'etcd applied after its deadline',
  'etcd lease revoked early',
  'etcd stale leader confirms',
  'lease expired',
  'fsync failed',
  'write error',
  'no space',
  'torn write',
  'unsynced page lost',
  'stamp page torn',
  'write cut short by a kill',
  'segment cleared',
]

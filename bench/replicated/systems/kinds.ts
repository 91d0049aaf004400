import { isInstalled } from '../../programs.ts'
import { CEPH } from './ceph.ts'
import { GLUSTER } from './gluster.ts'
import { HOLDFAST_DEV } from './holdfast-dev.ts'
import { HOLDFAST, HOLDFAST_TLS } from './holdfast-serve.ts'
import type { SystemKind } from './system.ts'
import { TGT_ALONE } from './tgt-alone.ts'

export const SYSTEMS: readonly SystemKind[] = [HOLDFAST, HOLDFAST_DEV, HOLDFAST_TLS, CEPH, GLUSTER, TGT_ALONE]

/** What a system needs and this machine does not have. */
export function missingPrograms({ programs }: SystemKind): string[] {
  return programs.filter(program => !isInstalled(program))
}

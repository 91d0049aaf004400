import { holdfastOver } from './holdfast.ts'
import { ISTGT } from './istgt.ts'
import { limitOf } from './limit.ts'
import type { ServerKind } from './server-kind.ts'
import { TGT } from './tgt.ts'

/** What `npm run bench` measures beside each other. */
export const ISCSI_KINDS: readonly ServerKind[] = [holdfastOver('iscsi'), TGT, ISTGT, limitOf('iscsi')]

import { HoldfastError } from '../errors/holdfast-error.ts'
import { formatSize } from '../lib/sizes.ts'
import { NO_LIMITS } from '../volume/throttle/volume-limits.ts'
import type { VolumeHead } from './layout.ts'
import type { VolumeRecord } from './records.ts'

const VOLUME_BYTES_MIN = 4096
/** Offsets are exact to 8 PiB; a volume of this size has 4096 placement pages. */
const VOLUME_BYTES_MAX = 2 ** 50
export const BLOCK_SIZE_DEFAULT = 512

/** Locally administered, so nobody's: we own no company id. */
export const NAA_COMPANY_ID_DEFAULT = '02484f'
const COMPANY_ID = /^[0-9a-f]{6}$/

/** Throws ERR_SIZE_INVALID unless it is a whole number of blocks within the bounds. */
export function checkVolumeSize(sizeBytes: number, blockSizeBytes: 512 | 4096): void {
  const refuse = (why: string) => {
    throw new HoldfastError('ERR_SIZE_INVALID', `a volume cannot have ${sizeBytes} bytes: ${why}`)
  }
  if (!Number.isSafeInteger(sizeBytes)) refuse('that is not a whole number of bytes')
  if (sizeBytes < VOLUME_BYTES_MIN) refuse(`the least is ${formatSize(VOLUME_BYTES_MIN)}`)
  if (sizeBytes > VOLUME_BYTES_MAX) refuse(`the most is ${formatSize(VOLUME_BYTES_MAX)}`)
  if (sizeBytes % blockSizeBytes !== 0) {
    const up = Math.ceil(sizeBytes / blockSizeBytes) * blockSizeBytes
    refuse(`it must be a multiple of the block size ${blockSizeBytes}, for example ${up}`)
  }
}

/** Throws ERR_ARGUMENT_INVALID for anything but 512 and 4096. */
export function parseBlockSize(blockSizeBytes: number): 512 | 4096 {
  if (blockSizeBytes === 512 || blockSizeBytes === 4096) return blockSizeBytes
  throw new HoldfastError('ERR_ARGUMENT_INVALID', `the block size is 512 or 4096, not ${blockSizeBytes}`)
}

/** Six hex digits in lower case. Throws ERR_ARGUMENT_INVALID. */
export function parseCompanyId(text: string): string {
  const id = text.toLowerCase()
  if (COMPANY_ID.test(id)) return id
  throw new HoldfastError('ERR_ARGUMENT_INVALID', `'${text}' is not a company id: it has six hex digits`)
}

/**
 * NAA-6 designator, 32 hex digits: 6, the company id, and 100 bits of the uuid without the two digits that
 * hold its version and variant. SPC-5 §7.7.6.6.5, RFC 9562 §5.4.
 */
export function naaOfVolume(companyId: string, uuid: string): string {
  const digits = uuid.replaceAll('-', '')
  return `6${companyId}${(digits.slice(0, 12) + digits.slice(13, 16) + digits.slice(17)).slice(0, 25)}`
}

/** What the rest of the daemon and the API see of a head. */
export function recordOf(name: string, head: VolumeHead): VolumeRecord {
  return {
    name,
    uuid: head.uuid,
    sizeBytes: head.sizeBytes,
    blockSizeBytes: head.blockSizeBytes,
    replicas: head.replicas,
    minReplicas: head.minReplicas,
    minReplicasWanted: head.minReplicasWanted ?? null,
    readOnly: head.readOnly,
    removable: head.removable,
    naa: head.naa,
    limits: head.limits ?? NO_LIMITS,
    createdAt: head.createdAt,
    state: head.state === 'deleting' ? 'deleting' : 'ready',
    epoch: head.epoch,
    generation: head.generation,
    setVersion: head.setVersion,
  }
}

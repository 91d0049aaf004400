import type { Guest } from './guest.ts'

const BLOCK_KIB = 8
const WRITES_PER_SECOND = 250
/** A slow machine needs this much longer than it should, with reading everything back. */
const SLOWNESS_S = 180

/**
 * Writes 2 MB a second to a disk or a new file, each block once and at random, then reads everything back; throws on an
 * error or a difference.
 */
export async function fioVerified(
  guest: Guest,
  path: string,
  { seconds }: { readonly seconds: number },
): Promise<void> {
  const sizeKiB = seconds * WRITES_PER_SECOND * BLOCK_KIB
  // A limit of time would keep fio from reading back, and the blocks of an earlier run must not be the same again.
  await guest.succeed(
    `fio --name=load --filename=${path} --rw=randwrite --bs=${BLOCK_KIB}k --size=${sizeKiB}k --direct=1 ` +
      `--ioengine=libaio --iodepth=16 --rate_iops=,${WRITES_PER_SECOND} --verify=crc32c --do_verify=1 ` +
      '--verify_fatal=1 --verify_state_save=0 --randrepeat=0',
    { timeoutS: seconds + SLOWNESS_S },
  )
}

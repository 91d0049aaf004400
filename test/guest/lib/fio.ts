import type { Guest } from './guest.ts'

/** fio needs this much longer than its run time to read everything back. */
const VERIFY_S = 150

/** Writes at random for `runtimeS` seconds, then reads everything back; throws on an error or a difference. */
export async function fioVerified(
  guest: Guest,
  disk: string,
  { runtimeS, sizeMiB = 32 }: { readonly runtimeS: number; readonly sizeMiB?: number },
): Promise<void> {
  // Overlapping writes would make the order of two of them part of the result.
  await guest.succeed(
    `fio --name=load --filename=${disk} --rw=randwrite --bs=8k --size=${sizeMiB}m --direct=1 --ioengine=libaio ` +
      `--iodepth=16 --serialize_overlap=1 --time_based --runtime=${runtimeS} --rate_iops=250 --verify=crc32c ` +
      '--do_verify=1 --verify_fatal=1 --verify_state_save=0',
    { timeoutS: runtimeS + VERIFY_S },
  )
}

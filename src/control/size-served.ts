import { wallClock } from './clock.ts'
import type { ServedVolume } from './ports.ts'

/** A size that has been stored is not taken back: an owner that cannot hear of it now does when it can. */
const OWNER_HEARS_MS = 10_000

/**
 * Resolves when clients here may use the volume up to this size. Its owner, perhaps another daemon, takes it from the
 * metadata by itself and then tells the gateways. Resolves as well when there is none that answers in time.
 */
export async function sizeServed(volume: ServedVolume | null, sizeBytes: number): Promise<void> {
  if (volume === null || volume.sizeBytes >= sizeBytes) return
  await new Promise<void>(resolve => {
    const done = () => {
      timer.cancel()
      stopListening()
      resolve()
    }
    const timer = wallClock.after(OWNER_HEARS_MS, done)
    const stopListening = volume.onChange(() => {
      if (volume.sizeBytes >= sizeBytes) done()
    })
  })
}

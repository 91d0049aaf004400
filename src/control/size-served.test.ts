import { expect, test } from 'vitest'
import type { VolumeChange } from '../volume/volume.ts'
import type { ServedVolume } from './ports.ts'
import { sizeServed } from './size-served.ts'

const GIB = 2 ** 30

/** A volume whose owner hears of new sizes when the test says so. */
class RemoteVolume {
  sizeBytes = GIB
  readonly listeners = new Set<(change: VolumeChange) => void>()

  onChange(listener: (change: VolumeChange) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  become(sizeBytes: number): void {
    this.sizeBytes = sizeBytes
    for (const listener of this.listeners) listener('resized')
  }
}

test('size served: waits until the owner has told of the size, and of no less', async () => {
  const volume = new RemoteVolume()
  let isServed = false
  const served = sizeServed(volume as unknown as ServedVolume, 3 * GIB).then(() => {
    isServed = true
  })
  volume.become(2 * GIB)
  await new Promise(resolve => setImmediate(resolve))
  expect(isServed).toBe(false)
  volume.become(3 * GIB)
  await served
  expect(volume.listeners.size).toBe(0)
})

test('size served: waits for nobody where it is served already, or where the volume is not', async () => {
  await sizeServed(new RemoteVolume() as unknown as ServedVolume, GIB)
  await sizeServed(null, GIB)
})

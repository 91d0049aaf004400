import { BlockStatus } from '../../../src/block/block-status.ts'
import type { SimBrick } from './sim-brick.ts'
import { forRegions, forSegments } from './spans.ts'
import type { VolumeImage } from './volume-image.ts'

/** What a brick does before the first byte of a write: space, then activity, each durable. */
export class Preparation {
  readonly #brick: SimBrick
  readonly #image: VolumeImage

  constructor(brick: SimBrick, image: VolumeImage) {
    this.#brick = brick
    this.#image = image
  }

  async run(offsetBytes: number, lengthBytes: number, takesSpace = true): Promise<BlockStatus> {
    const brick = this.#brick
    await brick.wait(brick.diskMs() + brick.disk.hangMs())
    if (brick.failure !== null) return BlockStatus.ioError
    if (takesSpace) {
      const status = this.reserve(offsetBytes, lengthBytes)
      if (status !== BlockStatus.ok) return status
    }
    if (!this.isReady(offsetBytes, lengthBytes)) {
      await brick.wait(brick.fsyncMs())
      forSegments(offsetBytes, lengthBytes, segment => this.#image.active.add(segment))
    }
    const { trouble } = brick.disk
    if (trouble.failsNextWrite) {
      trouble.failsNextWrite = false
      brick.tally.add('write error')
      brick.fail('a write failed')
    }
    return brick.failure === null ? BlockStatus.ok : BlockStatus.ioError
  }

  reserve(offsetBytes: number, lengthBytes: number): BlockStatus {
    if (this.#brick.failure !== null) return BlockStatus.ioError
    const wanted: number[] = []
    forRegions(offsetBytes, lengthBytes, region => {
      if (!this.#image.allocated.has(region)) wanted.push(region)
    })
    const { trouble } = this.#brick.disk
    if (wanted.length > trouble.freeRegions) {
      this.#brick.tally.add('no space')
      return BlockStatus.noSpace
    }
    trouble.freeRegions -= wanted.length
    for (const region of wanted) this.#image.allocated.add(region)
    return BlockStatus.ok
  }

  isReady(offsetBytes: number, lengthBytes: number): boolean {
    let ready = true
    forSegments(offsetBytes, lengthBytes, segment => {
      if (!this.#image.active.has(segment)) ready = false
    })
    forRegions(offsetBytes, lengthBytes, region => {
      if (!this.#image.allocated.has(region)) ready = false
    })
    return ready
  }
}

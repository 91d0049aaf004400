import { setImmediate } from 'node:timers/promises'

/**
 * `items` in parts of `count`, the event loop passed between two of them: whoever shares the loop waits for one part
 * and not for all. `items` is read as it goes on.
 */
export async function* inPasses<T>(items: Iterable<T>, count: number): AsyncGenerator<readonly T[]> {
  let part: T[] = []
  for (const item of items) {
    if (part.length === count) {
      yield part
      part = []
      await setImmediate()
    }
    part.push(item)
  }
  if (part.length > 0) yield part
}

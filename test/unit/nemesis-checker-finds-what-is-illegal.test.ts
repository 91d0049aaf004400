import { describe, expect, test } from 'vitest'
import { BlockHistory } from '../nemesis/block-history.ts'

function written(...values: number[]): BlockHistory {
  const history = new BlockHistory()
  for (const value of values) {
    history.writeBegan(value)
    history.writeAcknowledged()
  }
  return history
}

function read(history: BlockHistory, value: number): string | null {
  return history.readEnded(history.readBegan(), value)
}

describe('what one block may hold', () => {
  test('an acknowledged write that is gone is found', () => {
    expect(read(written(1, 2), 1)).toMatch(/read 1, legal are 2/)
  })

  test('a write in flight may be seen or not, and not be unseen again', () => {
    const history = written(1)
    history.writeBegan(2)
    expect(read(history, 1)).toBeNull()
    expect(read(history, 2)).toBeNull()
    expect(read(history, 1)).toMatch(/read 1/)
  })

  test('a read that began before a write was acknowledged may still tell the old value', () => {
    const history = written(1)
    const began = history.readBegan()
    history.writeBegan(2)
    history.writeAcknowledged()
    expect(history.readEnded(began, 1)).toBeNull()
    expect(read(history, 1)).toMatch(/read 1/)
  })

  test('a write of unknown outcome may be there or not until it was read', () => {
    const history = written(1)
    history.writeBegan(2)
    history.writeUnknown('a')
    expect(read(history, 1)).toBeNull()
    expect(read(history, 2)).toBeNull()
    expect(read(history, 1)).toMatch(/read 1/)
  })

  test('a write of unknown outcome may come to light late while its client has not come back', () => {
    const history = written(1)
    history.writeBegan(2)
    history.writeUnknown('a')
    history.writeBegan(3)
    history.writeAcknowledged()
    expect(read(history, 3)).toBeNull()
    expect(read(history, 2)).toBeNull()
    expect(read(history, 3)).toMatch(/read 3/)
  })

  test('a dead client’s write that comes to light after a later acknowledged one is found', () => {
    const history = written(1)
    history.writeBegan(2)
    history.writeUnknown('a')
    history.clientReturned('a')
    history.writeBegan(3)
    history.writeAcknowledged()
    expect(read(history, 2)).toMatch(/read 2, legal are 3/)
  })
})

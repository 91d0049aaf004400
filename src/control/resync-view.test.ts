import { describe, expect, test } from 'vitest'
import { type CopyValue, encodeValue, keys, type RegistrationValue } from './layout.ts'
import { Model, noChange } from './model.ts'
import { shownResync } from './resync-view.ts'

function modelOf(copiesByPeer: readonly (readonly Partial<CopyValue>[])[]): Model {
  const model = new Model()
  let revision = 1n
  const put = (key: string, value: Buffer) => {
    const modRevision = ++revision
    model.apply(
      key,
      { key, value, modRevision, createRevision: modRevision, version: 1n, lease: 0n },
      modRevision,
      noChange(),
    )
  }
  for (const [at, copies] of copiesByPeer.entries()) {
    const [id, number] = [`peer-${at + 1}`, at + 1]
    put(keys.peer(id), encodeValue('peer', { number, addresses: [], labels: {} }))
    put(keys.registration(id), encodeValue('registration', { number, copies } as RegistrationValue))
  }
  return model
}

describe('resync as it is shown', () => {
  const base = {
    volumeUuid: 'u',
    to: 3,
    regionsDone: 0,
    regionsTotal: 0,
    bytesPerSecond: 0,
    etaSeconds: null,
  }

  test('nothing is copied to a peer that no owner names', () => {
    expect(shownResync(modelOf([[base], []]), 2)).toBeNull()
    expect(shownResync(modelOf([[base]]), 3, 'another')).toBeNull()
  })

  test('what several owners copy to one peer is one figure: the last of them ends it', () => {
    const model = modelOf([
      [{ ...base, regionsDone: 10, regionsTotal: 20, bytesPerSecond: 100, etaSeconds: 5 }],
      [{ ...base, volumeUuid: 'w', regionsDone: 10, regionsTotal: 60, bytesPerSecond: 50, etaSeconds: 90 }],
    ])
    expect(shownResync(model, 3)).toEqual({ done: 0.25, bytesPerSecond: 150, etaSeconds: 90 })
    expect(shownResync(model, 3, 'w')).toEqual({ done: 1 / 6, bytesPerSecond: 50, etaSeconds: 90 })
  })

  test('while one of them does not know what is missing, no end is promised', () => {
    const model = modelOf([
      [base],
      [{ ...base, regionsDone: 1, regionsTotal: 2, bytesPerSecond: 1, etaSeconds: 7 }],
    ])
    expect(shownResync(model, 3)).toMatchObject({ etaSeconds: null })
  })
})

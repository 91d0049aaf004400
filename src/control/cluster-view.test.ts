import { expect, test } from 'vitest'
import type { Catalogue } from './catalogue.ts'
import { currentPlan } from './cluster-view.ts'
import { encodeValue, type Kind, keys, type Values } from './layout.ts'
import { type CatalogueChange, Model } from './model.ts'

/** What has been read, and then goes on changing. */
function aCatalogue() {
  const model = new Model()
  const change: CatalogueChange = { volumes: new Set(), targets: new Set(), peers: new Set() }
  let revision = 0n
  const put = <K extends Kind>(key: string, kind: K, value: Partial<Values[K]>) => {
    revision++
    const entry = { key, value: encodeValue(kind, value as Values[K]), modRevision: revision }
    model.apply(key, entry as Parameters<Model['apply']>[1], revision, change)
  }
  return { catalogue: { model } as Catalogue, put }
}

test('plan: made anew when the layout changes, and not for what happens every other second', () => {
  const { catalogue, put } = aCatalogue()
  const head = { uuid: 'v', state: 'ready', replicas: 1, sizeBytes: 1, out: [], setVersion: 1 } as const
  put(keys.head('demo'), 'volume', head)
  put(keys.page('demo', 0), 'placement', { ranges: [[1]] })
  for (const number of [1, 2]) put(keys.peer(`p${number}`), 'peer', { number, labels: {} })
  const before = currentPlan(catalogue)
  expect(before).toEqual({ moves: [], balanced: true })

  put(keys.registration('p1'), 'registration', { number: 1, usedBytes: 5 })
  put(keys.head('demo'), 'volume', { ...head, setVersion: 2 })
  put(keys.owner('demo'), 'owner', { peer: 'p1' })
  expect(currentPlan(catalogue)).toBe(before)

  put(keys.peer('p1'), 'peer', { number: 1, labels: {}, draining: true })
  expect(currentPlan(catalogue).moves).toMatchObject([{ from: 1, to: 2, why: 'drain' }])
  put(keys.page('demo', 0), 'placement', { ranges: [[2]] })
  expect(currentPlan(catalogue).balanced).toBe(true)
  put(keys.peer('p1'), 'peer', { number: 1, labels: {} })
  put(keys.head('demo'), 'volume', { ...head, replicas: 2 })
  expect(currentPlan(catalogue).moves).toMatchObject([{ from: null, to: 1, why: 'replicas' }])
})

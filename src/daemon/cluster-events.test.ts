import { expect, test } from 'vitest'
import { silentLog } from '../../test/lib/control-world.ts'
import { temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { Catalogue } from '../control/catalogue.ts'
import { EVENTS_KEPT } from '../control/events.ts'
import { keys } from '../control/layout.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import { eventTeller } from './cluster-events.ts'

test('events: what replication tells is kept within the bound, with no change by an operator', async () => {
  using directory = temporaryDirectory('events')
  await using store = await openEmbeddedStore({ directory: directory.path })
  await using catalogue = await Catalogue.open(store, silentLog)
  const tell = eventTeller(store, catalogue, 'a', silentLog as never)
  const subjects = async () => (await store.range(keys.events)).entries.map(({ value }) => `${value}`)
  for (let told = 1; told <= 2; told++) {
    for (let at = 0; at < EVENTS_KEPT; at++) tell('volume.takeover', `v${told}-${at}`, 'is served')
    const last = `"v${told}-${EVENTS_KEPT - 1}"`
    await expect.poll(async () => (await subjects()).at(-1), { timeout: 10_000 }).toContain(last)
  }
  await expect
    .poll(async () => (await subjects()).length, { timeout: 10_000 })
    .toBeLessThan(EVENTS_KEPT + 100)
})

import { openEmbeddedStore } from '../../src/metadata/embedded/embedded-store.ts'

/** Writes until it is killed, and says on standard output what was acknowledged: `key revision` lines. */
const [directory = ''] = process.argv.slice(2)
const store = await openEmbeddedStore({ directory })
for (let at = 0; ; at++) {
  const key = `k${at % 50}`
  const { revision } = await store.transact({
    compare: [],
    success: [
      { do: 'put', key, value: Buffer.from(String(at)) },
      { do: 'put', key: 'last', value: Buffer.from(key) },
    ],
  })
  process.stdout.write(`${key} ${revision}\n`)
}

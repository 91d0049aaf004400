import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openEmbeddedStore } from './embedded-store.ts'

const WRITER = new URL('../../../test/lib/metadata-writer.ts', import.meta.url).pathname

test('kill -9: whatever was acknowledged is there, whole transactions only', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-metadata-'))
  const acknowledged = new Map<string, bigint>()
  for (const writes of [20, 60]) {
    const child = spawn(process.execPath, ['--import', 'tsx', WRITER, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    for await (const chunk of child.stdout) {
      text += chunk
      if (text.split('\n').length > writes) break
    }
    child.kill('SIGKILL')
    await once(child, 'exit')
    for (const line of text.split('\n').slice(0, -1)) {
      const [key = '', revision = ''] = line.split(' ')
      acknowledged.set(key, BigInt(revision))
    }
    await using store = await openEmbeddedStore({ directory })
    for (const [key, revision] of acknowledged) {
      expect((await store.get(key))?.modRevision).toBeGreaterThanOrEqual(revision)
    }
    const last = await store.get('last')
    const { revision } = await store.range('')
    expect(last?.modRevision).toBe(revision)
    expect((await store.get(last!.value.toString()))?.modRevision).toBe(revision)
  }
  expect(acknowledged.size).toBeGreaterThan(10)
  await rm(directory, { recursive: true, force: true })
})

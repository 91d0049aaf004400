import { expect, test } from 'vitest'
import { NbdOption } from '../../src/nbd/wire/constants.ts'
import { encodeInfoRequest, encodeMetaContextQuery, encodeOption } from '../../src/nbd/wire/options.ts'
import { encodeRequest } from '../../src/nbd/wire/request.ts'
import { below, pick, type Random, seeded } from '../crash/random.ts'
import { NbdClient, type Style } from '../lib/nbd-client/nbd-client.ts'
import { type ServedMemory, serveMemory } from '../nbd/serve-memory.ts'
import { SECONDS, SEED } from './fuzz-budget.ts'

const STYLES: readonly Style[] = ['simple', 'structured', 'extended']

test(`fuzz, seed ${SEED}: whatever clients send, the server stands and a bystander is served`, {
  timeout: (SECONDS + 30) * 1000,
}, async () => {
  const random = seeded(SEED)
  await using served = await serveMemory({ sizeBytes: 2 ** 22 }, { limits: { handshakeTimeoutMs: 2000 } })
  using bystander = await NbdClient.open(served.port)
  const endMs = performance.now() + SECONDS * 1000
  let rounds = 0
  while (performance.now() < endMs) {
    await (below(random, 2) === 0 ? fuzzHandshake(served, random) : fuzzRequests(served, random))
    expect((await bystander.readAt(0, 512)).length).toBe(512)
    rounds++
  }
  await expect.poll(() => served.server.sessions().length, { timeout: 5000 }).toBe(1)
  expect(rounds).toBeGreaterThan(10)
})

async function fuzzHandshake({ port }: ServedMemory, random: Random): Promise<void> {
  using client = await NbdClient.connect(port, below(random, 4))
  const messages = [
    encodeOption(below(random, 14), randomBytes(random, below(random, 64))),
    encodeOption(NbdOption.GO, encodeInfoRequest('disk', [below(random, 5)])),
    encodeOption(NbdOption.SET_META_CONTEXT, encodeMetaContextQuery('disk', ['base:allocation', 'x:'])),
    encodeOption(NbdOption.EXTENDED_HEADERS, Buffer.alloc(0)),
    randomBytes(random, below(random, 300)),
  ]
  for (let i = below(random, 8); i >= 0; i--) {
    const message = Buffer.from(pick(random, messages))
    if (message.length > 0 && below(random, 3) === 0) damage(message, random)
    await sendInParts(client, message, random)
  }
}

async function fuzzRequests({ port }: ServedMemory, random: Random): Promise<void> {
  const style = pick(random, STYLES)
  using client = await NbdClient.open(port, style)
  for (let i = below(random, 40); i >= 0; i--) {
    const extended = style === 'extended'
    const length = below(random, 4) === 0 ? below(random, 2 ** 31) : 512 * below(random, 300)
    const command = below(random, 9)
    const header = encodeRequest(
      {
        command,
        flags: below(random, 4) === 0 ? below(random, 64) : 0,
        cookie: BigInt(i),
        offset: BigInt(below(random, 3) === 0 ? below(random, 2 ** 31) : 512 * below(random, 8000)),
        length: BigInt(length),
      },
      extended,
    )
    if (below(random, 20) === 0) damage(header, random)
    const payload = below(random, 3) === 0 ? randomBytes(random, Math.min(length, 100_000)) : Buffer.alloc(0)
    await sendInParts(client, Buffer.concat([header, payload]), random)
  }
  if (below(random, 2) === 0) client.socket.resetAndDestroy()
}

function damage(message: Buffer, random: Random): void {
  message[below(random, message.length)] = below(random, 256)
}

async function sendInParts(client: NbdClient, bytes: Buffer, random: Random): Promise<void> {
  const cut = below(random, bytes.length + 1)
  client.send(bytes.subarray(0, cut))
  if (below(random, 4) === 0) await new Promise(resolve => setImmediate(resolve))
  client.send(bytes.subarray(cut))
}

function randomBytes(random: Random, lengthBytes: number): Buffer {
  return Buffer.from(Array.from({ length: lengthBytes }, () => below(random, 256)))
}

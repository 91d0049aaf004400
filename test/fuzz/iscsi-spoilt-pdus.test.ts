import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { BHS_BYTES } from '../../src/iscsi-target/wire/bhs.ts'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { TargetDevice } from '../../src/scsi/target-device.ts'
import { FakeServer, pattern, read10, TARGET_NAME, write10 } from '../iscsi/serve-fake.ts'
import type { IscsiInitiator } from '../lib/iscsi-initiator.ts'
import { MemoryVolume } from '../lib/memory-volume.ts'
import { SECONDS, SEED } from './fuzz-budget.ts'

/** As many as fit in the time; fast-check shrinks what it finds. */
const BUDGET = { seed: SEED, numRuns: 1_000_000, interruptAfterTimeLimit: (SECONDS * 1000) / 4 } as const

const TARGET_COLD_RESET = 7

interface Spoil {
  readonly kind: number
  readonly at: number
  readonly value: number
  readonly data: number
}

const someSpoils = fc.array(
  fc.record({
    kind: fc.nat(6),
    // Any byte of the header but the lengths, which are spoilt apart: they end the stream in most cases.
    at: fc.constantFrom(0, 1, 2, 3, 8, 9, 15, 16, 19, 20, 23, 24, 27, 31, 32, 33, 36, 39, 40, 43, 47),
    value: fc.nat(255),
    data: fc.nat(2000),
  }),
  { minLength: 1, maxLength: 30 },
)

function send(initiator: IscsiInitiator, spoil: Spoil): void {
  const data = pattern(spoil.data & ~3)
  const bhs = initiator.commandHeader(spoil.kind % 2 === 0 ? write10(0, 8) : read10(0, 8), {
    ...(spoil.kind % 2 === 0 ? { write: 4096, data } : { read: 4096 }),
    final: spoil.kind !== 2,
    immediate: (spoil.value & 1) === 1,
  })
  if (spoil.kind > 2)
    bhs[0] = [Opcode.dataOut, Opcode.textRequest, Opcode.taskManagementRequest, 0x40][spoil.kind - 3]!
  bhs.writeUIntBE(data.length, 5, 3)
  bhs[spoil.at] = spoil.value
  // TARGET COLD RESET ends everybody's session, as it should.
  if (bhs[0] === Opcode.taskManagementRequest && (bhs[1]! & 0x7f) === TARGET_COLD_RESET) return
  initiator.send(bhs, data)
}

async function scsiDevice(delayMs: number | null): Promise<TargetDevice> {
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const device = new TargetDevice({ name: TARGET_NAME, identity })
  const volume = new MemoryVolume()
  volume.delayMs = delayMs
  await device.setUnits(new Map([[0, { volume, readOnly: false }]]))
  return device
}

for (const [how, receiveByEvents, delayMs] of [
  ['in place', false, null],
  ["by 'data' events", true, null],
  ['with a slow volume', false, 5],
] as const) {
  test(`fuzz: spoilt PDUs never stop the target, ${how}`, async () => {
    const device = await scsiDevice(delayMs)
    await using server = await FakeServer.start({ receiveByEvents }, device)
    const witness = await server.login({ isid: '4000000000ff' })
    await fc.assert(
      fc.asyncProperty(someSpoils, async spoils => {
        const initiator = await server.login()
        initiator.socket.on('data', () => {})
        for (const spoil of spoils) send(initiator, spoil)
        await new Promise<void>(resolve => initiator.socket.end(() => resolve()))
        await initiator.closed()
        witness.nopOut()
        expect((await witness.receive()).opcode).toBe(Opcode.nopIn)
      }),
      BUDGET,
    )
    await vi.waitFor(() => expect(server.target.sessions()).toHaveLength(1))
  })
}

test('fuzz: bytes that are no iSCSI at all end their connection alone', async () => {
  await using server = await FakeServer.start({ limits: { loginTimeoutMs: 0 } })
  const witness = await server.login()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: BHS_BYTES, maxLength: 5000 }), async bytes => {
      const stranger = await server.connect()
      stranger.socket.end(Buffer.from(bytes))
      await stranger.closed()
      witness.nopOut()
      expect((await witness.receive()).opcode).toBe(Opcode.nopIn)
    }),
    BUDGET,
  )
})

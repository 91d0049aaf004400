import { expect, test } from 'vitest'
import { TargetDevice } from '../../src/scsi/target-device.ts'
import { pick, seeded } from '../crash/random.ts'
import { FakeServer, TARGET_NAME } from '../iscsi/serve-fake.ts'
import { MemoryVolume } from '../lib/memory-volume.ts'
import { SECONDS, SEED } from './fuzz-budget.ts'
import { ATTACKS } from './iscsi-attacks.ts'
import { VerifyingClient } from './verifying-client.ts'

const ATTACKERS = 4
/** What may be left of the connections of the attackers when it is over. */
const SETTLED_WITHIN_MS = 20_000

async function twoUnits(): Promise<TargetDevice> {
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const device = new TargetDevice({ name: TARGET_NAME, identity })
  const [attacked, witnessed] = [new MemoryVolume(), new MemoryVolume()]
  await device.setUnits(
    new Map([
      [0, { volume: attacked, readOnly: false }],
      [1, { volume: witnessed, readOnly: false }],
    ]),
  )
  return device
}

test(`hostile iSCSI clients, seed ${SEED}: the target stands, and a client that behaves reads what it wrote`, async () => {
  const limits = { loginTimeoutMs: 2_000, pingIdleMs: 2_000, pingTimeoutMs: 2_000, connectionsMax: 200 }
  await using server = await FakeServer.start({ limits }, await twoUnits())
  const witness = await VerifyingClient.login(server, seeded(SEED + 1))
  const endMs = performance.now() + SECONDS * 1000
  const tried = new Map<string, number>()
  const names = Object.keys(ATTACKS)

  const attack = async (attacker: number) => {
    const random = seeded(SEED + 100 * attacker)
    for (let round = 0; performance.now() < endMs || round < names.length; round++) {
      const name = names[round + attacker] ?? pick(random, names)
      tried.set(name, (tried.get(name) ?? 0) + 1)
      // A login that is refused while connections are many is an answer like others.
      await ATTACKS[name]!({ server, random }).catch(() => {})
    }
  }
  let isOver = false
  const attacks = Promise.all(Array.from({ length: ATTACKERS }, (_, attacker) => attack(attacker))).finally(
    () => {
      isOver = true
    },
  )
  while (!isOver) await witness.round()
  await attacks

  expect([...tried.keys()].sort()).toEqual([...names].sort())
  expect(witness.rounds).toBeGreaterThan(20)
  await expect.poll(() => server.target.sessions().length, { timeout: SETTLED_WITHIN_MS }).toBe(1)
  await witness.round()
})

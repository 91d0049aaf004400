import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { TargetLookup } from '../../src/iscsi-target/target-directory.ts'
import { decodeLoginResponse } from '../../src/iscsi-target/wire/login.ts'
import type { Nexus } from '../../src/scsi/nexus.ts'
import { FakeScsiTarget } from '../lib/fake-scsi-target.ts'
import { FakeTargetDirectory } from '../lib/fake-target-directory.ts'
import { FakeServer, MIB, TARGET_NAME } from './serve-fake.ts'

const INITIATOR = 'iqn.2026-11.test:x'

/** A disk that lets go of a nexus when it is told to, as one does that has a write under way. */
class SlowToLetGo extends FakeScsiTarget {
  letGo: () => void = () => {}

  override detach(nexus: Nexus, done: () => void): void {
    this.letGo = () => super.detach(nexus, done)
  }
}

/** The first question is the login's, the second that of its end. */
class ChangesItsMind extends FakeTargetDirectory {
  readonly #answers: ((found: TargetLookup) => TargetLookup)[]

  constructor(...answers: ((found: TargetLookup) => TargetLookup)[]) {
    super(new FakeScsiTarget(TARGET_NAME, MIB))
    this.#answers = answers
  }

  override lookUp(targetName: string): TargetLookup {
    const answer = this.#answers.shift()
    const found = super.lookUp(targetName)
    return answer === undefined ? found : answer(found)
  }
}

const yes = (found: TargetLookup): TargetLookup => found

async function loginStatus(directory: FakeTargetDirectory): Promise<{ status: number[]; sessions: number }> {
  await using server = await FakeServer.start({ directory })
  const initiator = await server.connect()
  initiator.sendLogin({ target: TARGET_NAME }, { InitiatorName: INITIATOR, TargetName: TARGET_NAME })
  const { statusClass, statusDetail } = decodeLoginResponse((await initiator.receive()).bhs, 0)
  return { status: [statusClass, statusDetail], sessions: server.target.sessions().length }
}

test('kick: it is not over before the disk has let go of what was in flight', async () => {
  const disk = new SlowToLetGo(TARGET_NAME, MIB)
  await using server = await FakeServer.start({}, disk)
  await server.login({ initiator: INITIATOR })
  let isOver = false
  const kicked = server.target.kick({ initiator: INITIATOR }).then(count => {
    isOver = true
    return count
  })
  const again = server.target.kick({ initiator: INITIATOR })
  await sleep(20)
  expect(isOver).toBe(false)
  disk.letGo()
  expect([await kicked, await again]).toEqual([1, 1])
})

test('login: an initiator that was taken off the ACL before it got through is refused', async () => {
  const directory = new ChangesItsMind(yes, () => ({ found: 'forbidden' }))
  expect(await loginStatus(directory)).toEqual({ status: [2, 2], sessions: 0 })
})

test('login: a volume that left while the login was under way is a reason to come again', async () => {
  const directory = new ChangesItsMind(yes, () => ({ found: 'unavailable' }))
  expect(await loginStatus(directory)).toEqual({ status: [3, 1], sessions: 0 })
})

test('login: one that began before CHAP was demanded is refused', async () => {
  const chap = { user: 'u', secret: Buffer.from('twelve bytes') }
  const directory = new ChangesItsMind(yes, found => ({ ...found, chap }) as TargetLookup)
  expect(await loginStatus(directory)).toEqual({ status: [2, 2], sessions: 0 })
  expect(await loginStatus(new ChangesItsMind(yes, yes))).toEqual({ status: [0, 0], sessions: 1 })
})

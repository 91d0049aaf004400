import { expect, test } from 'vitest'
import { LocalTargets } from '../../src/daemon/local-target.ts'
import type { ChapPolicy, TargetLookup } from '../../src/iscsi-target/target-directory.ts'
import { FakeTargetDirectory } from '../lib/fake-target-directory.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { IscsiPortal } from '../lib/iscsi-portal.ts'
import { MemoryVolume } from '../lib/memory-volume.ts'

const initiatorName = 'iqn.2026-11.test:host'
const ALICE = { user: 'alice', secret: 'a secret of alice' }
/** The same user, another secret: a name is what anybody may choose. */
const OTHER_ALICE = { user: 'alice', secret: 'another secret of alice' }

class Directory extends FakeTargetDirectory {
  readonly policies = new Map<string, ChapPolicy>()

  override lookUp(name: string): TargetLookup {
    const found = super.lookUp(name)
    return found.found === 'yes' ? { ...found, chap: this.policies.get(name) ?? null } : found
  }
}

function device(volume: MemoryVolume): Buffer {
  const descriptor = Buffer.alloc(32)
  descriptor[0] = 0xe4
  descriptor.set([1, 3, 0, volume.naa.length], 4)
  volume.naa.copy(descriptor, 8)
  descriptor.writeUIntBE(volume.blockSizeBytes, 29, 3)
  return descriptor
}

/** EXTENDED COPY of the first eight blocks of one volume to the start of another. */
function copyFrom(initiator: Initiator, source: MemoryVolume, destination: MemoryVolume) {
  const segment = Buffer.alloc(28)
  segment[0] = 0x02
  segment.writeUInt16BE(24, 2)
  segment.writeUInt16BE(1, 6)
  segment.writeUInt16BE(8, 10)
  const header = Buffer.alloc(16)
  header.writeUInt16BE(64, 2)
  header.writeUInt32BE(28, 8)
  const write = Buffer.concat([header, device(source), device(destination), segment])
  const cdb = Buffer.alloc(16)
  cdb[0] = 0x83
  cdb.writeUInt32BE(write.length, 10)
  return initiator.command({ cdb, write })
}

test('EXTENDED COPY: the name of a host that is logged in with CHAP opens none of its units', async () => {
  const targets = new LocalTargets({
    identity: { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' },
    reportNexusLoss: false,
    restartToldUntilMs: 0,
  })
  const serve = async (name: string) => {
    const target = targets.make(`iqn.2026-11.test:${name}`)
    const volume = new MemoryVolume({ name })
    await target.setUnits(new Map([[0, { volume, readOnly: false }]]))
    return { target, volume }
  }
  const [open, guarded, alike, other] = [
    await serve('open'),
    await serve('guarded'),
    await serve('alike'),
    await serve('other'),
  ]
  guarded.volume.bytes.write('TOP SECRET')
  guarded.volume.mapped.add(0)
  const directory = new Directory(open.target, guarded.target, alike.target, other.target)
  const policy = ({ user, secret }: typeof ALICE) => ({ user, secret: Buffer.from(secret) })
  directory.policies.set(guarded.target.name, policy(ALICE))
  directory.policies.set(alike.target.name, policy(ALICE))
  directory.policies.set(other.target.name, policy(OTHER_ALICE))
  await using portal = await IscsiPortal.open({ directory })
  const logIn = (targetName: string, isid: string, chap?: typeof ALICE) =>
    Initiator.open(portal.port, { initiatorName, isid, targetName, ...(chap === undefined ? {} : { chap }) })
  await using host = await logIn(guarded.target.name, '00023d000001', ALICE)
  await host.read(0, 1)

  await using stranger = await logIn(open.target.name, '00023d000002')
  await using namesake = await logIn(other.target.name, '00023d000003', OTHER_ALICE)
  expect((await copyFrom(stranger, guarded.volume, open.volume)).senseCode).toEqual([0xa, 0x08, 0x04])
  expect((await copyFrom(namesake, guarded.volume, other.volume)).senseCode).toEqual([0xa, 0x08, 0x04])
  expect(open.volume.bytes.indexOf('TOP SECRET')).toBe(-1)

  await using again = await logIn(alike.target.name, '00023d000004', ALICE)
  expect((await copyFrom(again, guarded.volume, alike.volume)).status).toBe(0)
  expect((await copyFrom(again, guarded.volume, open.volume)).status).toBe(0)
  expect(alike.volume.bytes.indexOf('TOP SECRET')).toBe(0)
})

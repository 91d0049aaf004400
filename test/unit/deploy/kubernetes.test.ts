import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { kubernetesManifest } from '../../../src/cli/kubernetes-manifest.ts'
import { TestDaemon } from '../cli/harness.ts'
import { checkKubernetesObject } from './kubernetes-schema.ts'

const EXAMPLES = fileURLToPath(new URL('../../../deploy/kubernetes', import.meta.url))
const names = readdirSync(EXAMPLES).filter(name => name.endsWith('.yaml'))

const objectsOf = (text: string): Record<string, never>[] =>
  parseAllDocuments(text).map(document => document.toJS())

let served: TestDaemon
beforeEach(async () => {
  served = await TestDaemon.start()
  await served.run('volume create disk1 10GiB')
})
afterEach(() => served[Symbol.asyncDispose]())

const connection = {
  target_discovered: false,
  target_portal: '192.0.2.1:3260',
  target_iqn: 'iqn.2026-11.io.holdfast:disk1',
  target_lun: 0,
  target_portals: ['192.0.2.1:3260'],
  target_iqns: ['iqn.2026-11.io.holdfast:disk1'],
  target_luns: [0],
  volume_id: '00000000-0000-4000-8000-000000000000',
  auth_method: 'CHAP',
  auth_username: 'user',
  auth_password: 'twelve bytes',
  discard: true,
  access_mode: 'rw',
} as const
const manifest = (more: object = {}, volume = { name: 'disk1', sizeBytes: 2 ** 30 }) =>
  kubernetesManifest({
    volume,
    initiator: 'iqn.2026-11.io.holdfast.kubernetes:disk1',
    connection: { ...connection, ...more },
    namespace: 'default',
  })

describe('examples', () => {
  test('both classic cases are there', () => {
    expect(names.toSorted()).toEqual(['multipath.yaml', 'two-luns.yaml'])
  })

  test.each(names)('%s: the Kubernetes API takes every object, and its secrets are in it', name => {
    const text = readFileSync(`${EXAMPLES}/${name}`, 'utf8')
    const objects = objectsOf(text)
    for (const object of objects) expect(() => checkKubernetesObject(object)).not.toThrow()
    const kept = objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata['name'])
    const wanted = [...text.matchAll(/secretRef:\n\s+name: (\S+)/g)].map(match => match[1])
    expect(wanted).not.toEqual([])
    expect(kept).toEqual(expect.arrayContaining(wanted))
  })

  test('multipath.yaml is what `volume manifest` prints, but for the credentials', () => {
    const iqn = 'iqn.2026-11.io.holdfast:database'
    const printed = kubernetesManifest({
      volume: { name: 'database', sizeBytes: 100 * 2 ** 30 },
      initiator: 'iqn.2026-11.io.holdfast.kubernetes:database',
      connection: {
        ...connection,
        target_iqn: iqn,
        target_portals: ['192.0.2.10:3260', '198.51.100.10:3260'],
        auth_username: 'database',
        auth_password: 'write-your-own',
      },
      namespace: 'default',
    })
    const kept = objectsOf(readFileSync(`${EXAMPLES}/multipath.yaml`, 'utf8'))
    expect(kept.slice(0, 3)).toEqual(printed.slice(0, 3))
  })
})

test('schema: a wrong type, a missing and an unknown field are found', () => {
  const [, volume] = manifest() as [object, { spec: { iscsi: object } }]
  const withIscsi = (iscsi: object) => ({ ...volume, spec: { ...volume.spec, iscsi } })
  const { iscsi } = volume.spec
  expect(() => checkKubernetesObject(withIscsi({ ...iscsi, lun: '0' }))).toThrow(/lun must be integer/)
  expect(() => checkKubernetesObject(withIscsi({ ...iscsi, iqn: undefined }))).toThrow(/iqn/)
  expect(() => checkKubernetesObject(withIscsi({ ...iscsi, portal: 'x' }))).toThrow('/spec/iscsi/portal')
})

describe('volume manifest', () => {
  test('prints objects that the Kubernetes API takes, of one initiator with the CHAP made for it', async () => {
    const { out, code } = await served.run('volume manifest disk1 --namespace shop')
    expect(code).toBe(0)
    const [secret, volume, claim, pod] = objectsOf(out)
    for (const object of [secret, volume, claim, pod])
      expect(() => checkKubernetesObject(object)).not.toThrow()
    const initiatorName = 'iqn.2026-11.io.holdfast.kubernetes:disk1'
    expect(served.daemon.calls.at(-1)?.slice(0, 3)).toEqual(['connect', 'disk1', initiatorName])
    expect(secret).toMatchObject({
      kind: 'Secret',
      metadata: { name: 'disk1-chap', namespace: 'shop' },
      type: 'kubernetes.io/iscsi-chap',
      stringData: {
        'node.session.auth.username': 'generated-user',
        'node.session.auth.password': 'generated-secret',
      },
    })
    expect(volume).toMatchObject({
      kind: 'PersistentVolume',
      spec: {
        capacity: { storage: '10Gi' },
        claimRef: { name: 'disk1', namespace: 'shop' },
        iscsi: {
          targetPortal: '127.0.0.1:3260',
          portals: ['[::1]:3260'],
          iqn: 'iqn.2026-11.io.holdfast:disk1',
          lun: 0,
          readOnly: false,
          initiatorName,
          chapAuthSession: true,
          secretRef: { name: 'disk1-chap', namespace: 'shop' },
        },
      },
    })
    expect(claim).toMatchObject({ kind: 'PersistentVolumeClaim', spec: { volumeName: 'disk1' } })
    expect(pod).toMatchObject({
      kind: 'Pod',
      spec: { volumes: [{ persistentVolumeClaim: { claimName: 'disk1' } }] },
    })
  })

  test('--initiator names another one, and --json prints a list', async () => {
    const iqn = 'iqn.1993-08.org.debian:node-1'
    const { out } = await served.run(`volume manifest disk1 --initiator ${iqn} --json`)
    const { kind, items } = JSON.parse(out)
    expect([kind, items[1].spec.iscsi.initiatorName]).toEqual(['List', iqn])
  })

  test('a read-only volume is mounted read-only, and the CHAP of discovery is in the Secret', () => {
    const objects = manifest({
      access_mode: 'ro',
      discovery_auth_method: 'CHAP',
      discovery_auth_username: 'finder',
      discovery_auth_password: 'finds targets',
    })
    for (const object of objects) expect(() => checkKubernetesObject(object)).not.toThrow()
    expect(objects).toMatchObject([
      { stringData: { 'discovery.sendtargets.auth.password': 'finds targets' } },
      { spec: { iscsi: { readOnly: true, chapAuthDiscovery: true } } },
      {},
      { spec: { volumes: [{ persistentVolumeClaim: { readOnly: true } }] } },
    ])
  })

  test.each([
    ['a..b.-', 1536, 'a-b', '1536'],
    ['v1.2', 3 * 2 ** 20, 'v1.2', '3Mi'],
  ])('%s of %i bytes has names and a quantity that Kubernetes takes', (name, sizeBytes, object, storage) => {
    const [, volume] = manifest({}, { name, sizeBytes })
    expect(volume).toMatchObject({ metadata: { name: object }, spec: { capacity: { storage } } })
  })
})

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { loadConfig } from '../../../src/config/load-config.ts'
import { cli } from '../cli/harness.ts'
import { checkKubernetesObject } from './kubernetes-schema.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const read = (name: string) => readFileSync(join(ROOT, 'deploy', name), 'utf8')

interface Container {
  readonly name: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string }[]
}
interface Pods {
  readonly kind: string
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly hostNetwork: boolean
        readonly initContainers: readonly Container[]
        readonly containers: readonly Container[]
      }
    }
  }
}

const objectsOf = (name: string): unknown[] =>
  parseAllDocuments(read(name), { merge: true }).map(document => document.toJS())

test.each(['etcd/etcd.yaml', 'kubernetes-cluster/holdfast.yaml'])(
  '%s: the Kubernetes API takes every object',
  name => {
    const objects = objectsOf(name)
    expect(objects).toHaveLength(2)
    for (const object of objects) checkKubernetesObject(object)
  },
)

test('kubernetes: the daemon takes its environment, and its commands are those of the CLI', async () => {
  const { spec } = objectsOf('kubernetes-cluster/holdfast.yaml').find(
    (object): object is Pods => (object as Pods).kind === 'StatefulSet',
  )!.spec.template
  expect(spec.hostNetwork).toBe(true)
  const values: Record<string, string> = { NODE_NAME: 'node-1', HOST_IP: '10.0.0.1' }
  const filled = (text: string) => text.replace(/\$\((\w+)\)/g, (_, name: string) => values[name]!)
  for (const { env, args } of [...spec.initContainers, ...spec.containers]) {
    const environment = Object.fromEntries(
      env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, filled(value)]])),
    )
    expect(loadConfig({ environment })).toMatchObject({
      peer: { listen: { host: '10.0.0.1', port: 9281 }, tls: 'required' },
      label: { host: 'node-1' },
      iscsi: { listen: [{ host: '10.0.0.1', port: 3260 }] },
    })
    const { code, err } = await cli([...args.map(filled), '--help'])
    expect([args, code, err]).toEqual([args, 0, ''])
  }
})

test('systemd: the configuration beside the unit is one that the daemon takes', () => {
  const config = loadConfig({ file: 'holdfast.yaml', readFile: () => read('systemd/holdfast.yaml') })
  expect(config.etcd.urls).toHaveLength(3)
  const unit = read('systemd/holdfast.service')
  expect(unit).toContain('ExecStart=/usr/bin/holdfast serve --config /etc/holdfast/holdfast.yaml\n')
  expect(unit).toContain(`StateDirectory=${config.data.replace('/var/lib/', '')}\n`)
})

test('systemd: the unit is never given up, and leaves the daemon what it needs', () => {
  const unit = read('systemd/holdfast.service')
  expect(unit).toMatch(/^StartLimitIntervalSec=0$/m)
  // os.networkInterfaces(), for listeners on all addresses.
  expect(unit).toMatch(/^RestrictAddressFamilies=.*\bAF_NETLINK\b/m)
  // A Unix socket of NBD.
  expect(unit).toMatch(/^RuntimeDirectory=holdfast$/m)
})

test('docker: everything that is copied into the image is there', () => {
  const copied = read('docker/Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm)
  for (const [, sources] of copied) {
    for (const source of sources!.split(' '))
      expect([source, existsSync(join(ROOT, source))]).toEqual([source, true])
  }
})

test('README: every file that it names is there', () => {
  const named = [...read('README.md').matchAll(/\]\(([\w./-]+)\)/g)].map(match => match[1]!)
  expect(named.length).toBeGreaterThan(5)
  for (const name of named) expect([name, existsSync(join(ROOT, 'deploy', name))]).toEqual([name, true])
})

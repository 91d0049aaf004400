import { expect, test } from 'vitest'
import { configFields } from './fields.ts'
import { formatHostPort, isLoopback, parseHostPort } from './host-port.ts'
import { type ConfigSources, loadConfig } from './load-config.ts'
import { printableConfig } from './print-config.ts'
import { formatDuration, parseDuration } from './value-types.ts'

const FILE = '/etc/holdfast.yaml'

/** Loads with a file of this text. */
function load(text: string, sources: Omit<ConfigSources, 'file' | 'readFile'> = {}) {
  return loadConfig({
    ...sources,
    file: FILE,
    readFile: name => (name === FILE ? text : 'a-token-from-a-file\n'),
  })
}

test('config: the defaults are loopback, and the whole is frozen', () => {
  const config = loadConfig({})
  expect(config.iscsi.listen).toEqual([{ host: '127.0.0.1', port: 3260 }])
  expect(config.api).toEqual({
    listen: { host: '127.0.0.1', port: 9280 },
    tls: null,
    token: null,
    tokenFile: null,
  })
  expect(Object.isFrozen(config.limits) && Object.isFrozen(config.iscsi.listen[0])).toBe(true)
})

test('config: flags win over the environment, that over the file', () => {
  const text = 'limits: {sessions: 1, connections: 2, loginTime: 3s}'
  const environment = { HOLDFAST_LIMITS_SESSIONS: '10', HOLDFAST_LIMITS_CONNECTIONS: '20' }
  const { limits } = load(text, { environment, flags: { 'limits.sessions': '100' } })
  expect([limits.sessions, limits.connections, limits.loginTime]).toEqual([100, 20, 3000])
})

test('config: a section with listeners also takes them alone, and IPv6 goes in brackets', () => {
  const short = load('iscsi: ["[::1]:3260", "127.0.0.1:0"]\napi: 127.0.0.1:1')
  expect(short.iscsi.listen).toEqual([
    { host: '::1', port: 3260 },
    { host: '127.0.0.1', port: 0 },
  ])
  expect(short.api.listen.port).toBe(1)
  expect(load('iscsi: {listen: 127.0.0.1:7}').iscsi.listen).toEqual([{ host: '127.0.0.1', port: 7 }])
})

test('config: lists and pairs come from every source', () => {
  expect(load('label: {zone: a}').label).toEqual({ zone: 'a' })
  expect(loadConfig({ environment: { HOLDFAST_LABEL: 'zone=a,host=b' } }).label).toEqual({
    zone: 'a',
    host: 'b',
  })
  expect(loadConfig({ flags: { label: ['zone=a', 'rack=r=1'] } }).label).toEqual({ zone: 'a', rack: 'r=1' })
  const environment = { HOLDFAST_CHAP_ALGORITHMS: 'SHA-256, MD5' }
  expect(loadConfig({ environment }).chap.algorithms).toEqual(['SHA-256', 'MD5'])
})

test('config: unknown keys and variables are fatal and the nearest known one is named', () => {
  expect(() => load('limits: {sesions: 1}')).toThrow(
    "unknown key 'limits.sesions' in /etc/holdfast.yaml; did you mean 'limits.sessions'?",
  )
  expect(() => load('peer: {adress: 1.2.3.4:5}')).toThrow("unknown key 'peer.adress'")
  const environment = { HOLDFAST_ISCI: '127.0.0.1:1' }
  expect(() => loadConfig({ environment })).toThrow(
    "unknown variable HOLDFAST_ISCI; did you mean 'HOLDFAST_ISCSI'?",
  )
})

test('config: variables of the CLI and of Kubernetes services are passed over', () => {
  const environment = {
    HOLDFAST_API: 'https://elsewhere:9280',
    HOLDFAST_API_CA: 'ca.pem',
    HOLDFAST_SERVICE_HOST: '10.0.0.1',
    HOLDFAST_PORT: 'tcp://10.0.0.1:3260',
    HOLDFAST_PORT_3260_TCP_ADDR: '10.0.0.1',
    HOLDFAST_API_SERVICE_PORT_HTTPS: '9280',
  }
  expect(loadConfig({ environment })).toEqual(loadConfig({}))
})

test('config: a bad value is refused with where it was given', () => {
  const cases: [ConfigSources, RegExp][] = [
    [{ flags: { capacity: 'lots' } }, /^--capacity: 'lots' is not a size/],
    [{ environment: { HOLDFAST_API: 'nowhere' } }, /^HOLDFAST_API: 'nowhere' is not HOST:PORT/],
    [{ flags: { iscsi: ['127.0.0.1:1', '::1:2'] } }, /^--iscsi: '::1:2' is not HOST:PORT/],
    [{ flags: { 'limits.sessions': '0' } }, /^--limits-sessions: must be at least 1, not 0$/],
    [{ flags: { 'log.level': 'loud' } }, /^--log-level: must be one of fatal, .* not 'loud'$/],
    [{ flags: { label: ['zone'] } }, /^--label: 'zone' is not KEY=VALUE/],
    [{ flags: { label: ['Zone=a'] } }, /^--label: 'Zone' is not a key/],
    [{ flags: { 'peer.name': 'Peer_A' } }, /^--peer-name: 'Peer_A' is not a name .*'peer-a' would do$/],
    [{ flags: { 'scsi.companyId': 'zz' } }, /^--scsi-company-id: must be six hex digits$/],
    [{ file: '/nowhere/holdfast.yaml' }, /^\/nowhere\/holdfast.yaml cannot be read: there is no such file/],
    [{ flags: { nbd: ['0.0.0.0:1'] } }, /NBD on 0\.0\.0\.0:1 can be reached by others/],
    [{ flags: { 'nbd.tls': 'required' } }, /nbd\.tls required needs tlsDir or nbd\.pskFile/],
    [{ flags: { advertiseNbd: ['1.2.3.4:5', '1.2.3.4:6'] } }, /more advertise-nbd addresses/],
    [{ flags: { advertiseIscsi: ['1.2.3.4:5', '1.2.3.4:6'] } }, /more advertise-iscsi addresses/],
  ]
  for (const [sources, message] of cases) expect(() => loadConfig(sources)).toThrow(message)
  expect(() => load('limits: {loginTime: 3}')).toThrow(
    "limits.loginTime in /etc/holdfast.yaml: '3' is not a duration",
  )
  expect(() => load('data: [')).toThrow('is not YAML')
  expect(() => load('just text')).toThrow('must hold keys and values')
})

test('config: an API that others can reach needs TLS and a token', () => {
  const reachable = 'api: {listen: 0.0.0.0:9280'
  expect(() => load(`${reachable}}`)).toThrow('0.0.0.0:9280 can be reached by others, so it needs api.tls')
  expect(() => load(`${reachable}, tls: /tls}`)).toThrow('api.token')
  expect(load(`${reachable}, tls: /tls, tokenFile: /token}`).api.token).toBe('a-token-from-a-file')
  expect(load('api: {listen: "[::1]:9280"}').api.token).toBe(null)
})

test('config: what is printed can be read again, and no secret is in it', () => {
  const config = load(
    'capacity: 10GiB\nlimits: {loginTime: 90s}\napi: {token: sixteen-characters}\nlabel: {zone: a}',
  )
  const printed = printableConfig(config)
  expect(printed).toMatchObject({
    capacity: '10GiB',
    limits: { loginTime: '90s' },
    iscsi: { listen: ['127.0.0.1:3260'] },
  })
  expect(JSON.stringify(printed)).not.toContain('sixteen-characters')
  const again = load(JSON.stringify({ ...printed, api: '127.0.0.1:9280' }))
  expect({ ...again, api: null }).toEqual({ ...config, api: null })
})

test('config: every field has a unit, a reason, and names that nobody else has', () => {
  for (const { unit, reason } of configFields) expect(unit.length > 0 && reason.length > 20).toBe(true)
  const names = configFields
    .flatMap(({ key, flag, variable }) => [key, flag, variable])
    .filter(name => name !== null)
  expect(new Set(names).size).toBe(names.length)
})

test('host and port: brackets, bounds and loopback', () => {
  for (const text of ['127.0.0.1:3260', '[fd00::1]:1', 'storage-1:65535']) {
    expect(formatHostPort(parseHostPort(text)!)).toBe(text)
  }
  for (const text of ['', ':1', 'a:', 'a:65536', 'fd00::1:1', '[127.0.0.1]:1', '[::1]', 'a:1x']) {
    expect([text, parseHostPort(text)]).toEqual([text, null])
  }
  const hosts = ['127.9.9.9', '::1', 'localhost', '0.0.0.0', '::', '128.0.0.1', '127.evil.example']
  expect(hosts.map(isLoopback)).toEqual([true, true, true, false, false, false, false])
})

test('durations: units, and back', () => {
  expect(['500ms', '15s', '1.5m', '2h', '7d', '0'].map(parseDuration)).toEqual([
    500, 15_000, 90_000, 7_200_000, 604_800_000, 0,
  ])
  expect(['15', 's', '-1s', '1y'].map(parseDuration)).toEqual([null, null, null, null])
  expect([500, 15_000, 90_000, 604_800_000, 0].map(formatDuration)).toEqual([
    '500ms',
    '15s',
    '90s',
    '7d',
    '0',
  ])
})

test('etcd: given by its URLs, all of one kind, and a user has a password', () => {
  expect(load('etcd: [http://a:2379, "http://[fd00::1]:2379"]').etcd.urls).toHaveLength(2)
  expect(loadConfig({ environment: { HOLDFAST_ETCD: 'http://a:1,http://b:1' } }).etcd.urls).toEqual([
    'http://a:1',
    'http://b:1',
  ])
  expect(() => load('etcd: {urls: [http://a:1, https://b:1]}')).toThrow('all http or all https')
  expect(() => load('etcd: [a:2379]')).toThrow("'a:2379' is not a URL like http://etcd1:2379")
  expect(() => load('etcd: {urls: [http://a:1], user: root}')).toThrow('go together')
  expect(() => load('etcd: {urls: [http://a:1], tls: /t}')).toThrow('https URLs')
})

test('peer: what others reach is spoken in TLS, unless told otherwise, and a wildcard is advertised', () => {
  const etcd = 'etcd: [http://a:1]\n'
  expect(() => load(`${etcd}peer: 10.0.0.1:9281`)).toThrow('peer.allowPlain')
  expect(() => load(`${etcd}peer: {listen: 10.0.0.1:9281, tls: required}`)).toThrow('tlsDir')
  expect(() => load(`${etcd}peer: {listen: 0.0.0.0:9281, allowPlain: on}`)).toThrow('advertise-peer')
  expect(load('peer: 10.0.0.1:9281').peer.listen.port).toBe(9281)
  const plain = load(`${etcd}peer: {listen: 0.0.0.0:9281, allowPlain: on}\nadvertisePeer: a:9281`)
  expect(plain.advertisePeer).toEqual({ host: 'a', port: 9281 })
})

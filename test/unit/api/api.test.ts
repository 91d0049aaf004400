import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createApi } from '../../../src/api/api-server.ts'
import {
  encodeFrameHead,
  encodeHeader,
  FrameKind,
  SPARSE_STREAM_TYPE,
} from '../../../src/api/sparse-stream.ts'
import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import { FakeDaemon } from './fake-daemon.ts'

const TOKEN = 'a-token-for-tests-only'
const log = pino({ enabled: false })
let daemon: FakeDaemon
let api: FastifyInstance

beforeEach(async () => {
  daemon = new FakeDaemon()
  api = await createApi({ backend: daemon, log, version: '0.1.0', token: null, tls: null })
})
afterEach(() => api.close())

function make(name = 'demo', sizeBytes = 2 ** 20) {
  return api.inject({ method: 'POST', url: '/v1/volumes', payload: { name, sizeBytes } })
}

test('volumes: a new one is answered with 201 and can be shown and listed', async () => {
  const made = await make()
  expect(made.statusCode).toBe(201)
  expect(made.json()).toMatchObject({ name: 'demo', sizeBytes: 2 ** 20, blockSizeBytes: 512 })
  expect((await api.inject('/v1/volumes/demo')).json()).toEqual(made.json())
  expect((await api.inject('/v1/volumes')).json()).toHaveLength(1)
})

test('volumes: a taken name is a 409 problem that names the volume', async () => {
  await make()
  const again = await make()
  expect(again.statusCode).toBe(409)
  expect(again.headers['content-type']).toMatch('application/problem+json')
  expect(again.json()).toEqual({
    type: 'urn:holdfast:error:ERR_VOLUME_EXISTS',
    title: 'a volume of this name exists',
    status: 409,
    detail: "there is a volume 'demo' already",
    code: 'ERR_VOLUME_EXISTS',
  })
})

test('volumes: an unknown property or a wrong type is a 400 problem that names it', async () => {
  const unknown = await api.inject({
    method: 'POST',
    url: '/v1/volumes',
    payload: { name: 'x', sizeBytes: 1, sise: 2 },
  })
  expect(unknown.statusCode).toBe(400)
  expect(unknown.json()).toMatchObject({
    code: 'ERR_ARGUMENT_INVALID',
    detail: expect.stringContaining('sise'),
  })
  const wrong = await api.inject({
    method: 'POST',
    url: '/v1/volumes',
    payload: { name: 'x', sizeBytes: '1G' },
  })
  expect(wrong.json().detail).toBe("sizeBytes: must be a number, not '1G'")
  const lacking = await api.inject({ method: 'POST', url: '/v1/volumes', payload: { sizeBytes: 4096 } })
  expect(lacking.json().detail).toBe('name: is missing')
  expect(daemon.calls).toEqual([])
})

test('volumes: one in use is deleted only by force', async () => {
  await make()
  daemon.volumes.set('demo', { ...daemon.volumes.get('demo')!, sessions: 1 })
  expect((await api.inject({ method: 'DELETE', url: '/v1/volumes/demo' })).json().code).toBe(
    'ERR_VOLUME_BUSY',
  )
  const forced = await api.inject({ method: 'DELETE', url: '/v1/volumes/demo?force=true' })
  expect(forced.statusCode).toBe(202)
  expect(forced.json()).toMatchObject({ kind: 'delete', state: 'running' })
})

test('connections: one is made for an initiator and taken away, and nothing else may be in the body', async () => {
  await make()
  const url = '/v1/volumes/demo/connections'
  const initiator = 'iqn.1993-08.org.debian:a'
  const made = await api.inject({ method: 'POST', url, payload: { initiator } })
  expect(made.statusCode).toBe(200)
  expect(made.json()).toMatchObject({ target_lun: 0, auth_method: 'CHAP', auth_password: 'generated-secret' })
  const ended = await api.inject({ method: 'DELETE', url: `${url}/${encodeURIComponent(initiator)}` })
  expect([ended.statusCode, ended.body]).toEqual([204, ''])
  expect(daemon.calls.slice(-2)).toEqual([
    // A request that was injected came over no socket.
    ['connect', 'demo', initiator, ':0'],
    ['disconnect', 'demo', initiator],
  ])
  const strange = await api.inject({ method: 'POST', url, payload: { initiator, host: 'a' } })
  expect(strange.json()).toMatchObject({ status: 400, code: 'ERR_ARGUMENT_INVALID' })
})

function importEmpty(sizeBytes: number) {
  const payload = Buffer.concat([
    encodeHeader(sizeBytes),
    encodeFrameHead(FrameKind.end, sizeBytes, Buffer.alloc(0)),
  ])
  const headers = { 'content-type': SPARSE_STREAM_TYPE }
  return api.inject({ method: 'POST', url: '/v1/volumes/demo/import', headers, payload })
}

test('import: one that came while the volume was not served is in the way of none later', async () => {
  await make()
  const { openVolume } = daemon
  daemon.openVolume = () => {
    throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', "volume 'demo' is not served now; try again")
  }
  expect((await importEmpty(4096)).json().code).toBe('ERR_BLOCK_UNAVAILABLE')
  daemon.openVolume = openVolume
  const again = await importEmpty(4096)
  expect([again.statusCode, again.json()]).toEqual([200, { imageBytes: 4096, dataBytes: 0 }])
})

test('export: HEAD reads nothing', async () => {
  await make()
  const { statusCode } = await api.inject({ method: 'HEAD', url: '/v1/volumes/demo/export' })
  expect([statusCode, daemon.memory('demo').openHandles]).toEqual([404, 0])
})

test('targets: CHAP secrets go in and never come out', async () => {
  await make()
  const payload = {
    user: 'ann',
    secret: 'twelve-bytes-or-more',
    mutualUser: 'us',
    mutualSecret: 'another-secret-here',
  }
  const set = await api.inject({ method: 'PUT', url: '/v1/targets/demo/chap', payload })
  expect(set.json().chap).toEqual({ user: 'ann', mutualUser: 'us' })
  expect(daemon.calls.at(-1)).toEqual(['setChap', 'demo', { initiator: undefined, ...payload }])
  const other = { ...payload, initiator: 'iqn.2026-11.test:b' }
  await api.inject({ method: 'PUT', url: '/v1/targets/demo/chap', payload: other })
  const shown = await api.inject('/v1/targets/iqn.2026-11.io.holdfast:demo')
  expect(shown.json().chapByInitiator).toEqual({ 'iqn.2026-11.test:b': { user: 'ann', mutualUser: 'us' } })
  expect(shown.body).not.toMatch(/twelve-bytes|another-secret/)
})

test('targets: LUNs and ACL entries come and go', async () => {
  await make()
  const lun = {
    method: 'PUT',
    url: '/v1/targets/demo/luns/3',
    payload: { volume: 'demo', readOnly: true },
  } as const
  expect((await api.inject(lun)).json().luns).toContainEqual({ lun: 3, volume: 'demo', readOnly: true })
  expect((await api.inject({ method: 'DELETE', url: '/v1/targets/demo/luns/3' })).json().luns).toHaveLength(1)
  const acl = '/v1/targets/demo/acl/iqn.2026-11.test:a'
  expect((await api.inject({ method: 'PUT', url: acl })).json().acl).toEqual(['iqn.2026-11.test:a'])
  expect((await api.inject({ method: 'DELETE', url: acl })).json().acl).toEqual([])
})

test('scrub: starts with the configured bandwidth, shows progress, stops', async () => {
  expect((await api.inject('/v1/scrub')).json().state).toBe('never')
  expect((await api.inject({ method: 'POST', url: '/v1/scrub' })).statusCode).toBe(202)
  expect(daemon.calls.at(-1)).toEqual(['startScrub', { bytesPerSecond: daemon.scrubBytesPerSecond }])
  expect((await api.inject('/v1/scrub')).json()).toMatchObject({ state: 'running', totalBytes: 100 })
  expect((await api.inject({ method: 'DELETE', url: '/v1/scrub' })).json().state).toBe('ended')
})

test('operations: status, doctor, sessions, peers, events and jobs answer by their schemas', async () => {
  for (const path of ['status', 'doctor', 'sessions', 'peers', 'peers/peer-1', 'events?limit=5', 'jobs']) {
    expect([path, (await api.inject(`/v1/${path}`)).statusCode]).toEqual([path, 200])
  }
  expect((await api.inject('/v1/peers/nobody')).json().code).toBe('ERR_PEER_NOT_FOUND')
  expect((await api.inject('/v1/jobs/nothing')).json().code).toBe('ERR_JOB_NOT_FOUND')
  const kicked = await api.inject({ method: 'DELETE', url: '/v1/sessions/iscsi-9' })
  expect(kicked.json().code).toBe('ERR_SESSION_NOT_FOUND')
})

test('errors: an unknown path and an unexpected failure are problems, and the second one keeps its secrets', async () => {
  const missing = await api.inject('/v1/nothing')
  expect([missing.statusCode, missing.json().code]).toEqual([404, 'ERR_PATH_NOT_FOUND'])
  const long = await api.inject(`/v1/volumes/${'a'.repeat(600)}`)
  expect([long.statusCode, long.headers['content-type'], long.json().detail]).toEqual([
    414,
    expect.stringContaining('application/problem+json'),
    'a name in the path is too long',
  ])
  const escaped = await api.inject('/v1/volumes/%ff')
  expect([escaped.statusCode, escaped.json().code]).toEqual([400, 'ERR_ARGUMENT_INVALID'])
  daemon.control.listVolumes = async () => {
    throw new Error('secret detail of the implementation')
  }
  const broken = await api.inject('/v1/volumes')
  expect([broken.statusCode, broken.json().code]).toEqual([500, 'ERR_INTERNAL'])
  expect(broken.body).not.toMatch('secret detail')
})

test('health: readyz says why not; healthz stays well', async () => {
  expect((await api.inject('/readyz')).statusCode).toBe(200)
  daemon.unready = 'stopping'
  const unready = await api.inject('/readyz')
  expect([unready.statusCode, unready.body]).toEqual([503, 'stopping\n'])
  expect((await api.inject('/healthz')).statusCode).toBe(200)
})

test('guard: with a token every path but health and the page asks for it', async () => {
  const guarded = await createApi({ backend: daemon, log, version: '0.1.0', token: TOKEN, tls: null })
  for (const path of ['/v1/volumes', '/v1/nothing', '/metrics']) {
    const refused = await guarded.inject(path)
    expect([path, refused.statusCode, refused.json().code]).toEqual([path, 401, 'ERR_UNAUTHORIZED'])
  }
  for (const path of ['/healthz', '/readyz', '/docs', '/openapi.json']) {
    expect([path, (await guarded.inject(path)).statusCode]).toEqual([path, 200])
  }
  const authorization = (token: string) => ({
    url: '/v1/volumes',
    headers: { authorization: `Bearer ${token}` },
  })
  expect((await guarded.inject(authorization(`${TOKEN}x`))).statusCode).toBe(401)
  expect((await guarded.inject(authorization(TOKEN))).statusCode).toBe(200)
  await guarded.close()
})

test('guard: a web page of another site, or a name rebound to loopback, is refused', async () => {
  const asked = (headers: Record<string, string>) => api.inject({ url: '/v1/volumes', headers })
  expect((await asked({ host: '127.0.0.1:9280', origin: 'https://evil.example' })).statusCode).toBe(403)
  expect((await asked({ host: 'evil.example:9280' })).statusCode).toBe(403)
  expect((await asked({ host: '[::1]:9280', origin: 'http://[::1]:9280' })).statusCode).toBe(200)
})

test('openapi: the document names every route and the page needs no other site', async () => {
  const document = (await api.inject('/openapi.json')).json()
  expect(Object.keys(document.paths)).toContain('/v1/volumes/{name}/import')
  expect(
    document.paths['/v1/volumes'].post.requestBody.content['application/json'].schema.properties,
  ).toHaveProperty('sizeBytes')
  const page = await api.inject('/docs')
  expect(page.body).not.toMatch(/https?:\/\//)
  for (const asset of page.body.match(/\/docs\/[\w.-]+/g)!) {
    expect([asset, (await api.inject(asset)).statusCode]).toEqual([asset, 200])
  }
  for (const asset of ['package.json', 'constructor', '__proto__'])
    expect([asset, (await api.inject(`/docs/${asset}`)).statusCode]).toEqual([asset, 404])
})

test('metrics: counters are read at the scrape, histograms are cumulative', async () => {
  const text = (await api.inject('/metrics')).body
  expect(text).toContain('holdfast_volume_operations_total{volume="demo",operation="read"} 3')
  expect(text).toContain('holdfast_volume_latency_seconds_bucket{volume="demo",le="0.000008"} 1')
  expect(text).toContain('holdfast_volume_latency_seconds_bucket{volume="demo",le="+Inf"} 2')
  expect(text).toContain('holdfast_volume_latency_seconds_count{volume="demo"} 2')
  expect(text).toContain('holdfast_store_dirty_bytes 7')
  expect(text).toContain('holdfast_iscsi_connections_closed_total{reason="login timeout"} 1')
})

import { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import pino from 'pino'
import { expect, test } from 'vitest'
import type { VolumeShown } from '../control/control.ts'
import type { TargetRecord } from '../control/records.ts'
import { IoStats } from '../lib/io-stats.ts'
import { createLog } from '../lib/log.ts'
import type { ScrubProgress } from '../store/brick.ts'
import { bannerText, type Served } from './banner.ts'
import { Closers } from './closers.ts'
import { type Examined, examine } from './doctor.ts'
import { totalsByName } from './io-totals.ts'
import { ScrubSchedule } from './scrub-schedule.ts'
import { Watchdog } from './watchdog.ts'

/** A log whose lines a test can read. */
function readableLog(format: 'json' | 'text' = 'json') {
  let written = ''
  const destination = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk)
      done()
    },
  })
  const log = createLog({ level: 'info', format, destination })
  const read = () => {
    const lines = written
    written = ''
    return lines
  }
  return { log, read }
}

test('log: a line that cannot be written is lost, and whoever logs goes on', async () => {
  const full = new Error('ENOSPC: no space left on device, write')
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(full) })
  const throwing = new Writable({ write: () => {} })
  throwing.write = () => {
    throw full
  }
  for (const destination of [broken, throwing]) {
    const log = createLog({ level: 'info', format: 'text', destination })
    expect(() => log.info({}, 'serving')).not.toThrow()
    await setImmediate()
  }
})

test('watchdog: a stall over 100 ms is counted and logged with its length, a shorter delay only counted', () => {
  const { log, read } = readableLog()
  using watchdog = new Watchdog(log)
  const start = performance.now()
  watchdog.looked(start)
  watchdog.looked(start + 50 + 90)
  expect([watchdog.stalls, read()]).toEqual([0, ''])
  watchdog.looked(start + 140 + 50 + 250)
  expect(watchdog.stalls).toBe(1)
  expect(JSON.parse(read())).toMatchObject({ level: 'warn', msg: 'event loop stalled', stallMs: 250 })
  expect(Math.round(watchdog.longestMs)).toBe(250)
  expect(watchdog.delay.reduce((sum, count) => sum + count, 0)).toBe(3)
})

test('watchdog: stalls that follow are counted, and said together once ten seconds have passed', () => {
  const { log, read } = readableLog()
  using watchdog = new Watchdog(log)
  // Whole: forty stalls are ten seconds exactly, which fractions would miss by rounding.
  let nowMs = Math.ceil(performance.now())
  watchdog.looked(nowMs)
  const stall = () => {
    nowMs += 50 + 200
    watchdog.looked(nowMs)
  }
  stall()
  expect(JSON.parse(read())).toMatchObject({ stallMs: 200, unloggedStalls: 0 })
  for (let i = 0; i < 39; i++) stall()
  expect(read()).toBe('')
  stall()
  expect(JSON.parse(read())).toMatchObject({ stallMs: 200, unloggedStalls: 39 })
  expect(watchdog.stalls).toBe(41)
})

test('log: secrets are masked wherever they stand, and text is for people', () => {
  const asJson = readableLog()
  asJson.log.info({ secret: 'abc', chap: { secret: 'abc', mutualSecret: 'abc' }, token: 'abc' }, 'message')
  expect(asJson.read()).not.toContain('abc')
  const asText = readableLog('text')
  asText.log.child({ volume: 'demo' }).warn({ stallMs: 3, err: new Error('broken') }, 'it happened')
  expect(asText.read()).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}it happened volume=demo stallMs=3 error="broken"\n$/,
  )
})

test('closers: what was opened last is closed first, and a failure keeps nothing else open', async () => {
  const { log, read } = readableLog()
  const closers = new Closers(log)
  const closed: string[] = []
  closers.add('first', () => closed.push('first'))
  closers.add('broken', () => Promise.reject(new Error('no')))
  closers.add('last', () => closed.push('last'))
  await closers[Symbol.asyncDispose]()
  await closers[Symbol.asyncDispose]()
  expect(closed).toEqual(['last', 'first'])
  expect(JSON.parse(read())).toMatchObject({ part: 'broken', msg: 'closing failed' })
})

test('scrub schedule: one starts when the last ended an interval ago, and not while one runs', async () => {
  let nowMs = 0
  let progress: ScrubProgress | null = null
  let starts = 0
  const kept: number[] = []
  using schedule = new ScrubSchedule({
    intervalMs: 1000,
    memory: { sinceMs: 0, keep: async endedAtMs => void kept.push(endedAtMs) },
    now: () => nowMs,
    progress: () => progress,
    start: async () => starts++,
    log: pino({ enabled: false }),
  })
  const startsAt = async (at: number, endedAtMs?: number | null, checkedBytes = 8) => {
    nowMs = at
    const counts = { checkedBytes, totalBytes: 8, badBlocks: 0, settledBlocks: 0, startedAtMs: 0 }
    progress = endedAtMs === undefined ? null : { ...counts, endedAtMs }
    await schedule.look()
    return starts
  }
  expect(await startsAt(999)).toBe(0)
  expect(await startsAt(1000)).toBe(1)
  expect(await startsAt(5000, null)).toBe(1)
  expect(await startsAt(6000, 5500)).toBe(1)
  expect(await startsAt(6500, 5500)).toBe(2)
  expect(await startsAt(6900, 6800, 4)).toBe(2)
  // Of one that was stopped nothing is kept for the next start of the daemon.
  expect(kept).toEqual([5500])
})

test('totals: a volume under several targets is one', () => {
  const [a, b, other] = [new IoStats(), new IoStats(), new IoStats()]
  a.reads = 1
  b.reads = 2
  b.addLatency(3)
  const totals = totalsByName([
    ['v', a],
    ['w', other],
    ['v', b],
  ])
  expect(totals.get('v')).toMatchObject({ reads: 3, latencySumUs: 3 })
  expect([totals.size, a.reads]).toEqual([2, 1])
})

const healthy: Examined = {
  brick: {
    state: 'warm',
    failure: null,
    scrub: null,
    capacity: {
      limitBytes: 1000,
      usedBytes: 1,
      warnAtBytes: 900,
      dirtyBytes: 0,
      dirtyCapBytes: 10,
    },
    counters: {
      checksumErrors: 0,
      flushes: 0,
      fdatasyncs: 0,
      readsInline: 0,
      readsWaited: 0,
      writesInline: 0,
      writesWaited: 0,
    },
  },
  portals: ['127.0.0.1:3260'],
  targets: [],
  stalls: 0,
  longestStallMs: 0,
  nativeCalls: true,
  openFilesMax: 65_536,
  connectionsMax: 1024,
  onTmpfs: false,
  freeBytes: 1000,
}
const openTarget: TargetRecord = {
  iqn: 'iqn.2026-11.io.holdfast:demo',
  luns: [],
  openToAll: true,
  acl: [],
  chap: null,
  chapByInitiator: {},
  createdAt: '',
}

/** The checks that are not ok, as `check state`. */
function troubles(change: Partial<Examined>): string[] {
  const findings = examine({ ...healthy, ...change })
  return findings.filter(({ state }) => state !== 'ok').map(({ check, state }) => `${check} ${state}`)
}

test('doctor: a healthy daemon has no trouble, and each trouble is found by its own check', () => {
  const brick = (change: Partial<Examined['brick']>) => ({ brick: { ...healthy.brick, ...change } })
  const used = (usedBytes: number) => brick({ capacity: { ...healthy.brick.capacity, usedBytes } })
  expect(troubles({})).toEqual([])
  expect(troubles(brick({ failure: new Error('EIO') }))).toEqual(['brick failure'])
  expect(troubles(brick({ state: 'cold' }))).toEqual(['brick warning'])
  expect(troubles(used(900))).toEqual(['space warning'])
  expect(troubles(used(1000))).toEqual(['space failure'])
  expect(troubles({ ...used(500), freeBytes: 50 })).toEqual(['space warning'])
  expect(troubles(brick({ counters: { ...healthy.brick.counters, checksumErrors: 1 } }))).toEqual([
    'checksums warning',
  ])
  expect(troubles({ onTmpfs: true })).toEqual(['data directory warning'])
  expect(troubles({ nativeCalls: false })).toEqual(['system calls warning'])
  expect(troubles({ openFilesMax: 1024 })).toEqual(['open files warning'])
  expect(troubles({ stalls: 1, longestStallMs: 200 })).toEqual(['event loop warning'])
})

test('doctor: an open target matters only where others can reach a portal', () => {
  expect(troubles({ targets: [openTarget] })).toEqual([])
  const portals = ['0.0.0.0:3260']
  expect(troubles({ targets: [openTarget], portals })).toEqual(['exposure warning'])
  expect(troubles({ targets: [{ ...openTarget, openToAll: false }], portals })).toEqual([])
})

const volume = {
  name: 'demo',
  sizeBytes: 2 ** 30,
  targets: [{ iqn: openTarget.iqn, lun: 0, readOnly: false }],
  uris: ['iscsi://127.0.0.1:3260/x/0', 'nbd://127.0.0.1:10809/demo'],
} as unknown as VolumeShown
const served: Served = {
  version: '1.0.0',
  data: './data',
  portals: ['127.0.0.1:3260', '[::1]:3260'],
  nbd: ['127.0.0.1:10809'],
  apiUrl: 'http://127.0.0.1:9280',
  defaultApiUrl: 'http://127.0.0.1:9280',
  volumes: [volume],
  guarded: new Set(),
}

test('banner: what is up, and how to attach ready to paste', () => {
  const text = bannerText(served)
  expect(text).toContain('iSCSI    [::1]:3260')
  expect(text).toContain('iscsiadm -m node -T iqn.2026-11.io.holdfast:demo -p 127.0.0.1:3260 --login')
  expect(text).toMatch(
    /qemu-img convert .* iscsi:\/\/127\.0\.0\.1:3260\/iqn\.2026-11\.io\.holdfast:demo\/0\n/,
  )
  expect(text).toContain('NBD      127.0.0.1:10809')
  expect(text).toContain("nbdinfo 'nbd://127.0.0.1:10809/demo'")
})

test('banner: of a target that asks who comes there is nothing to paste, but where that can be seen', () => {
  const { iqn } = volume.targets[0]!
  const text = bannerText({ ...served, guarded: new Set([iqn]) })
  expect(text).toContain(`Who may attach 'demo':\n  holdfast target show ${iqn}\n`)
  expect(text).not.toContain('iscsiadm')
})

test('banner: of many volumes some are named', () => {
  const volumes = Array.from({ length: 12 }, (_, i) => ({ ...volume, name: `disk${i}` }))
  const text = bannerText({ ...served, volumes })
  expect(text).toContain('  volume   disk9, ')
  expect(text).toContain('           and 2 more: holdfast volume list\n')
  expect(text).not.toContain('disk10')
})

test('banner: without a volume it says how to make one, at an API that is not the default', () => {
  const text = bannerText({ ...served, volumes: [], apiUrl: 'http://127.0.0.1:1' })
  expect(text).toContain('holdfast volume create disk1 10GiB --api http://127.0.0.1:1')
  expect(text).not.toContain('iscsiadm')
})

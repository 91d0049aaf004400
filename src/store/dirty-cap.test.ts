import { expect, test } from 'vitest'
import { defaultDirtyCapBytes } from './dirty-cap.ts'

const MIB = 2 ** 20
const MEMORY = { '/proc/meminfo': 'MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n' }

function machine(files: Readonly<Record<string, string>>): (path: string) => string {
  return path => files[path] ?? ''
}

function ratios(background: number, hard: number): Record<string, string> {
  return {
    ...MEMORY,
    '/proc/sys/vm/dirty_background_bytes': '0\n',
    '/proc/sys/vm/dirty_background_ratio': `${background}\n`,
    '/proc/sys/vm/dirty_bytes': '0\n',
    '/proc/sys/vm/dirty_ratio': `${hard}\n`,
  }
}

test('dirty cap: half of the middle between the background and the hard threshold', () => {
  expect(defaultDirtyCapBytes(machine(ratios(10, 20)))).toBe(Math.floor(8192 * MIB * 0.075))
})

test('dirty cap: thresholds in bytes count before ratios', () => {
  const inBytes = {
    '/proc/sys/vm/dirty_background_bytes': String(400 * MIB),
    '/proc/sys/vm/dirty_bytes': String(600 * MIB),
  }
  expect(defaultDirtyCapBytes(machine({ ...ratios(10, 20), ...inBytes }))).toBe(250 * MIB)
})

test('dirty cap: a background threshold above the hard one counts as half of that, as in the kernel', () => {
  expect(defaultDirtyCapBytes(machine(ratios(30, 20)))).toBe(Math.floor(8192 * MIB * 0.075))
})

test('dirty cap: 64 MiB where the system does not tell, or has hardly any memory', () => {
  expect(defaultDirtyCapBytes(machine({}))).toBe(64 * MIB)
  expect(defaultDirtyCapBytes(machine({ ...ratios(1, 2), '/proc/meminfo': 'MemAvailable: 1024 kB\n' }))).toBe(
    64 * MIB,
  )
})

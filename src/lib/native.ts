import { createRequire } from 'node:module'

export interface NativeLibrary {
  func(name: string, result: string, parameters: string[]): (...values: (number | Buffer)[]) => number
}

interface Koffi {
  load(path: string | null): NativeLibrary
  address(value: Buffer): bigint
  errno(): number
}

function loadKoffi(): Koffi | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi
    koffi.load(null)
    return koffi
  } catch {
    return null
  }
}

/** Calls into the system's own libraries; null where it does not load. */
export const koffi = loadKoffi()

/** A shared library by its file name; null: this process itself, the C library with it. null if it is not there. */
export function nativeLibrary(file: string | null): NativeLibrary | null {
  try {
    return koffi?.load(file) ?? null
  } catch {
    return null
  }
}

let recentBuffer: Buffer | null = null
let recentAddress = 0
const addresses = new WeakMap<Buffer, number>()

/**
 * Where a Buffer's bytes lie; they never move while it lives. Exact as a number: user space ends at 2^47.
 * Only where koffi loads.
 */
export function addressOf(buffer: Buffer): number {
  if (buffer === recentBuffer) return recentAddress
  let address = addresses.get(buffer)
  if (address === undefined) {
    address = Number(koffi!.address(buffer))
    addresses.set(buffer, address)
  }
  recentBuffer = buffer
  recentAddress = address
  return address
}

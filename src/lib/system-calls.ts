import fs from 'node:fs'
import { constants, uptime } from 'node:os'
import { addressOf, koffi, nativeLibrary } from './native.ts'

/**
 * The system calls behind the store, without exceptions: each answers what the call did, or a negative errno.
 * They go through koffi, found by name in the process so that a preloaded recorder sees them; where koffi does
 * not load, node:fs serves what it can and the rest answers -ENOSYS (see `nativeCalls`).
 */

const { EAGAIN, EINTR, ENOSYS, EOPNOTSUPP } = constants.errno
export const Errno = constants.errno

/** fallocate(2): keep the file's size, make a hole, zero what keeps its space. */
export const FALLOC_KEEP_SIZE = 0x01
export const FALLOC_PUNCH_HOLE = 0x02
export const FALLOC_ZERO_RANGE = 0x10
const RWF_NOWAIT = 0x08
const LOCK_EX = 2
const LOCK_NB = 4
const SYNC_FILE_RANGE_WAIT_BEFORE = 1
const SYNC_FILE_RANGE_WRITE = 2
const SYNC_FILE_RANGE_WAIT_AFTER = 4
const POSIX_FADV_DONTNEED = 4
const TWO_TO_32 = 2 ** 32

const libc = nativeLibrary(null)
const native =
  libc === null
    ? null
    : {
        pread: libc.func('pread', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int64_t']),
        pwrite: libc.func('pwrite', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int64_t']),
        preadv2: libc.func('preadv2', 'int64_t', ['int', 'uintptr_t', 'int', 'int64_t', 'int']),
        fallocate: libc.func('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']),
        flock: libc.func('flock', 'int', ['int', 'int']),
        posixFadvise: libc.func('posix_fadvise', 'int', ['int', 'int64_t', 'int64_t', 'int']),
        clockGettime: libc.func('clock_gettime', 'int', ['int', 'uintptr_t']),
        getpagesize: libc.func('getpagesize', 'int', []),
        // By number: glibc has no name for it.
        cachestat: libc.func('syscall', 'int64_t', [
          'int64_t',
          'int64_t',
          'uintptr_t',
          'uintptr_t',
          'int64_t',
        ]),
        syncFileRange: libc.func('sync_file_range', 'int', ['int', 'int64_t', 'int64_t', 'uint']),
      }

/** False where koffi does not load: no hole punching, no flock, no reads that refuse to wait. */
export const nativeCalls = native !== null

// struct iovec {void *base; size_t length}, filled anew for each call.
const iovec = Buffer.alloc(16)
const iovecWords = new Uint32Array(iovec.buffer, iovec.byteOffset, 4)
const iovecAddress = koffi === null ? 0 : Number(koffi.address(iovec))

// struct timespec {time_t seconds; long nanoseconds}
const CLOCK_BOOTTIME = 7
const timespec = Buffer.alloc(16)
const timespecWords = new Uint32Array(timespec.buffer, timespec.byteOffset, 4)
const timespecAddress = koffi === null ? 0 : Number(koffi.address(timespec))

// struct cachestat_range {u64 offset, length}, and the first of struct cachestat {u64 cached pages, ...}.
const SYS_CACHESTAT = 451
const CACHED_PAGES_WORD = 4
const cacheRange = Buffer.alloc(16 + 40)
const cacheRangeWords = new Uint32Array(cacheRange.buffer, cacheRange.byteOffset, 14)
const cacheRangeAddress = koffi === null ? 0 : Number(koffi.address(cacheRange))
const pageBytes = native === null ? 0 : native.getpagesize()

function resultOf(result: number): number {
  return result >= 0 ? result : -koffi!.errno()
}

function errnoOf(error: unknown): number {
  const errno = (error as NodeJS.ErrnoException).errno
  if (typeof errno !== 'number') throw error
  return errno
}

/** Bytes read from the page cache, -EAGAIN when that would wait for a disk, -EOPNOTSUPP where it cannot tell. */
export function preadNow(
  fd: number,
  into: Buffer,
  at: number,
  lengthBytes: number,
  offsetBytes: number,
): number {
  if (native === null) return -EOPNOTSUPP
  const base = addressOf(into) + at
  iovecWords[0] = base % TWO_TO_32
  iovecWords[1] = Math.floor(base / TWO_TO_32)
  iovecWords[2] = lengthBytes
  const result = native.preadv2(fd, iovecAddress, 1, offsetBytes, RWF_NOWAIT)
  if (result >= 0) return result
  const errno = koffi!.errno()
  return errno === EINTR ? -EAGAIN : -errno
}

/** Bytes read, fewer than asked only at the end of the file. May wait for the disk. */
export function pread(
  fd: number,
  into: Buffer,
  at: number,
  lengthBytes: number,
  offsetBytes: number,
): number {
  let done = 0
  while (done < lengthBytes) {
    const result = preadOnce(fd, into, at + done, lengthBytes - done, offsetBytes + done)
    if (result === -EINTR) continue
    if (result < 0) return result
    if (result === 0) break
    done += result
  }
  return done
}

function preadOnce(fd: number, into: Buffer, at: number, lengthBytes: number, offsetBytes: number): number {
  if (native !== null) return resultOf(native.pread(fd, addressOf(into) + at, lengthBytes, offsetBytes))
  try {
    return fs.readSync(fd, into, at, lengthBytes, offsetBytes)
  } catch (error) {
    return errnoOf(error)
  }
}

/** Writes all of it to the page cache: `lengthBytes`, or a negative errno after none or a part of it. */
export function pwrite(
  fd: number,
  from: Buffer,
  at: number,
  lengthBytes: number,
  offsetBytes: number,
): number {
  let done = 0
  while (done < lengthBytes) {
    const result = pwriteOnce(fd, from, at + done, lengthBytes - done, offsetBytes + done)
    if (result === -EINTR) continue
    if (result < 0) return result
    done += result
  }
  return done
}

function pwriteOnce(fd: number, from: Buffer, at: number, lengthBytes: number, offsetBytes: number): number {
  if (native !== null) return resultOf(native.pwrite(fd, addressOf(from) + at, lengthBytes, offsetBytes))
  try {
    return fs.writeSync(fd, from, at, lengthBytes, offsetBytes)
  } catch (error) {
    return errnoOf(error)
  }
}

/** fallocate(2); `mode` of FALLOC_*. */
export function fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): number {
  if (native === null) return -ENOSYS
  for (;;) {
    const result = resultOf(native.fallocate(fd, mode, offsetBytes, lengthBytes))
    if (result !== -EINTR) return result
  }
}

/** flock(2), exclusive, without waiting: -EWOULDBLOCK when another process holds it. */
export function lockFile(fd: number): number {
  return native === null ? -ENOSYS : resultOf(native.flock(fd, LOCK_EX | LOCK_NB))
}

/** Writes a range's dirty pages out and waits for them; gives no durability. sync_file_range(2). */
export function writeBack(fd: number, offsetBytes: number, lengthBytes: number): number {
  if (native === null) return -ENOSYS
  const flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
  return resultOf(native.syncFileRange(fd, offsetBytes, lengthBytes, flags))
}

/** Whether the page cache has all of a range. cachestat(2), since Linux 6.5; false where it is not there. */
export function isCached(fd: number, offsetBytes: number, lengthBytes: number): boolean {
  if (native === null) return false
  cacheRangeWords[0] = offsetBytes % TWO_TO_32
  cacheRangeWords[1] = Math.floor(offsetBytes / TWO_TO_32)
  cacheRangeWords[2] = lengthBytes
  const result = native.cachestat(SYS_CACHESTAT, fd, cacheRangeAddress, cacheRangeAddress + 16, 0)
  return result === 0 && cacheRangeWords[CACHED_PAGES_WORD]! * pageBytes >= lengthBytes
}

/** Drops what is cached and clean of a range, so that the next read asks the disk. posix_fadvise(2); a hint. */
export function dropFromPageCache(fd: number, offsetBytes: number, lengthBytes: number): void {
  native?.posixFadvise(fd, offsetBytes, lengthBytes, POSIX_FADV_DONTNEED)
}

/** Gives freed memory back to the system. malloc_trim(3), which glibc alone has; a hint. */
export function trimHeap(): void {
  try {
    libc?.func('malloc_trim', 'int', ['size_t'])(0)
  } catch {
    // Other C libraries give back as they go.
  }
}

/** fdatasync(2); waits for the disk. */
export function fdatasync(fd: number): number {
  try {
    fs.fdatasyncSync(fd)
    return 0
  } catch (error) {
    return errnoOf(error)
  }
}

/** `ENOSPC` for -28 or 28. */
export function errnoName(errno: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === Math.abs(errno))
  return found?.[0] ?? `errno ${Math.abs(errno)}`
}

/** CLOCK_BOOTTIME in milliseconds with a fraction: it counts while the machine is suspended. */
export function bootTimeMs(): number {
  // Without koffi, in steps of 10 ms.
  if (native === null || native.clockGettime(CLOCK_BOOTTIME, timespecAddress) !== 0) return uptime() * 1000
  return (timespecWords[1]! * TWO_TO_32 + timespecWords[0]!) * 1000 + timespecWords[2]! / 1e6
}

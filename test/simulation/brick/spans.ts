import type { BlockExtent } from '../../../src/block/block-device.ts'
import { BLOCK_BYTES, Entry, REGION_BYTES, SEGMENT_BYTES, type VolumeImage } from './volume-image.ts'

export function forBlocks(offsetBytes: number, lengthBytes: number, fn: (block: number) => void): void {
  for (let at = offsetBytes; at < offsetBytes + lengthBytes; at += BLOCK_BYTES) fn(at / BLOCK_BYTES)
}

export function forRegions(offsetBytes: number, lengthBytes: number, fn: (region: number) => void): void {
  const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
  for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) fn(region)
}

export function forSegments(offsetBytes: number, lengthBytes: number, fn: (segment: number) => void): void {
  const last = Math.floor((offsetBytes + lengthBytes - 1) / SEGMENT_BYTES)
  for (let segment = Math.floor(offsetBytes / SEGMENT_BYTES); segment <= last; segment++) fn(segment)
}

/** Runs of blocks that are alike: mapped ones were written and not trimmed since. */
export function mappedRuns(image: VolumeImage, offsetBytes: number, lengthBytes: number): BlockExtent[] {
  const runs: { offsetBytes: number; lengthBytes: number; mapped: boolean }[] = []
  forBlocks(offsetBytes, lengthBytes, block => {
    const mapped = image.entry(block) !== Entry.absent
    const last = runs.at(-1)
    if (last?.mapped === mapped) last.lengthBytes += BLOCK_BYTES
    else runs.push({ offsetBytes: block * BLOCK_BYTES, lengthBytes: BLOCK_BYTES, mapped })
  })
  return runs
}

import type { ActivityMap } from './activity-map.ts'
import type { Bank } from './bank.ts'
import type { BrickCounters } from './brick.ts'
import type { Capacity } from './capacity.ts'
import type { Catalogue } from './catalogue.ts'
import type { ChecksumPages } from './checksum-pages.ts'
import type { DirtyTracker } from './dirty-tracker.ts'
import type { Durability } from './durability.ts'
import type { StoreFiles } from './files/store-files.ts'
import type { SlotAllocator } from './slot-allocator.ts'
import type { StampPages } from './stamp-pages.ts'
import type { StickyFailure } from './sticky-failure.ts'
import type { Writeback } from './writeback.ts'

/** What the parts of an open brick share. */
export interface BrickParts {
  readonly files: StoreFiles
  readonly banks: readonly Bank[]
  readonly catalogue: Catalogue
  readonly allocator: SlotAllocator
  readonly checksums: ChecksumPages
  readonly stamps: StampPages
  readonly activity: ActivityMap
  readonly capacity: Capacity
  readonly dirty: DirtyTracker
  readonly writeback: Writeback
  readonly durability: Durability
  readonly failure: StickyFailure
  readonly counters: BrickCounters
  /** Milliseconds; only differences and comparisons matter. */
  readonly clock: () => number
  /** A segment is neither in doubt nor suspect any more. */
  readonly doubtEnded: () => void
}

// Run by the crash tests in a process of its own, one per shard: takes a record, crashes the disk at every
// position of it and has each image checked. Prints JSON lines: attempts, failures, at last what it did.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { chanceSurvives, everythingSurvives, writeImage } from './disk-image.ts'
import { DiskModel } from './disk-model.ts'
import { History } from './history.ts'
import { ImageCheck, type Variant } from './image-check.ts'
import { marksInode, parseMarks } from './marks.ts'
import { seeded } from './random.ts'
import { parseLog, type RecordEntry, RecordKind } from './record-log.ts'

export interface CheckTask {
  readonly log: string
  /** The recorded directory: it holds `brick` and `marks`. */
  readonly root: string
  readonly scratch: string
  readonly seed: number
  /** This process takes every `shards`-th position, beginning with `shard`. */
  readonly shard: number
  readonly shards: number
  /** Of the positions left, every `stride`-th. */
  readonly stride: number
  readonly only?: { readonly cut: number; readonly variant: Variant }
  /** Syncs of paths that contain this are taken for not done. */
  readonly ignoresSyncOf?: string
  readonly stopsAtFailure?: boolean
  readonly endsAtMs: number
}

export interface ImageFailure {
  readonly cut: number
  readonly variant: Variant
  readonly seed: number
  readonly problem: string
}

/** Printed before each image: should the process die of it, its parent knows of which. */
export interface ImageAttempt {
  readonly trying: { readonly cut: number; readonly variant: Variant }
}

export interface CheckSummary {
  readonly checked: number
  readonly cuts: number
  readonly outOfTime: boolean
}

/** Differs in the first word from the one of the record: LMDB looks at no more. */
const LATER_BOOT_ID = 'c01dc01d-0000-4000-8000-000000000002'
/** Every image is opened and read; one in so many is also written to and opened again. */
const THOROUGHLY_ONE_IN = 3

class Checker {
  #task: CheckTask
  #disk: DiskModel
  #history = new History()
  #inodeOfMarks = -1
  #checked = 0

  constructor(task: CheckTask) {
    this.#task = task
    const { ignoresSyncOf } = task
    this.#disk = new DiskModel(join(task.root, 'brick'), {
      ignoresSyncOf: path => ignoresSyncOf !== undefined && path.includes(ignoresSyncOf),
    })
  }

  async run(): Promise<CheckSummary> {
    const entries = parseLog(readFileSync(this.#task.log))
    this.#inodeOfMarks = marksInode(entries, this.#task.root)
    const cuts = this.#positions(entries)
    for (const [at, entry] of entries.entries()) this.#learn(entry, at)
    let done = 0
    let outOfTime = false
    for (const [at, entry] of entries.entries()) {
      if (cuts.has(at)) {
        outOfTime = Date.now() > this.#task.endsAtMs
        if (outOfTime || !(await this.#crash(at))) break
        done++
      }
      if (!this.#isMark(entry)) this.#disk.step(entry)
    }
    return { checked: this.#checked, cuts: done, outOfTime }
  }

  // A crash "at" a position has everything before it. Marks change no disk: the cut that has them all counts.
  #positions(entries: readonly RecordEntry[]): Set<number> {
    const { shard, shards, stride, only } = this.#task
    if (only !== undefined) return new Set([only.cut])
    const wanted = new Set<number>()
    let position = 0
    // Before that mark the files of the earlier crash are only being copied.
    const first = entries.findLastIndex(entry => this.#isMark(entry) && entry.payload.includes('"crashed"'))
    for (const [at, entry] of entries.entries()) {
      if (at < first || this.#isMark(entry) || entry.kind === RecordKind.syncBegin) continue
      if (position++ % (shards * stride) === shard) wanted.add(at)
    }
    return wanted
  }

  #isMark(entry: RecordEntry): boolean {
    return entry.inode === this.#inodeOfMarks
  }

  #learn(entry: RecordEntry, at: number): void {
    if (!this.#isMark(entry) || entry.kind !== RecordKind.write) return
    for (const mark of parseMarks(entry.payload.toString())) this.#history.add(mark, at)
  }

  async #crash(cut: number): Promise<boolean> {
    for (const variant of ['power-cut', 'kill'] as const) {
      if (this.#task.only !== undefined && this.#task.only.variant !== variant) continue
      // Nothing is lost by a kill: between two changes of the disk it needs looking at less often.
      if (variant === 'kill' && this.#task.only === undefined && cut % 3 !== 0) continue
      if (!(await this.#check(cut, variant))) return false
    }
    return true
  }

  async #check(cut: number, variant: Variant): Promise<boolean> {
    const { seed, scratch } = this.#task
    print({ trying: { cut, variant } })
    const random = seeded(seed * 1_000_003 + cut)
    const directory = mkdtempSync(join(scratch, 'image-'))
    try {
      const survival = variant === 'kill' ? everythingSurvives : chanceSurvives(random)
      writeImage(this.#disk.crash(survival), directory)
      process.env.RECORDER_BOOT_ID = variant === 'kill' ? process.env.CRASH_BOOT_ID : LATER_BOOT_ID
      const isThorough = this.#task.only !== undefined || this.#checked % THOROUGHLY_ONE_IN === 0
      this.#checked++
      await new ImageCheck(directory, this.#history, cut, variant, random).run(isThorough)
      return true
    } catch (error) {
      const problem = inspect(error)
      print({ cut, variant, seed, problem })
      return this.#task.stopsAtFailure !== true
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

function print(line: ImageAttempt | ImageFailure | CheckSummary): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

print(await new Checker(JSON.parse(process.argv[2]!) as CheckTask).run())

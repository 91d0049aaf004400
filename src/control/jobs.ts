import { randomUUID } from 'node:crypto'
import type { Job } from './control.ts'
import type { BrickStatus } from './ports.ts'

/** Finished jobs that are remembered for `jobs`. */
const JOBS_KEPT = 100

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What takes long, with its progress. Known to this process only; after a restart unfinished work starts anew. */
export class Jobs {
  readonly #jobs: Mutable<Job>[] = []
  readonly #running = new Map<string, Promise<void>>()
  readonly #brick: BrickStatus

  constructor(brick: BrickStatus) {
    this.#brick = brick
  }

  /** Newest last; the ones that ended are forgotten first. */
  list(): Job[] {
    this.#readScrub()
    return this.#jobs.map(job => ({ ...job }))
  }

  /** The job of this kind and subject that has not ended, or null. */
  find(kind: Job['kind'], subject: string): Job | null {
    this.#readScrub()
    const running = (job: Job) => job.kind === kind && job.subject === subject && job.state === 'running'
    const job = this.#jobs.find(running)
    return job === undefined ? null : { ...job }
  }

  /** Starts `work`, which reports bytes done; the job fails when it rejects. */
  start(
    subject: string,
    totalBytes: number,
    work: (progress: (doneBytes: number) => void) => Promise<void>,
  ): Job {
    const job = this.#add('delete', subject, totalBytes)
    const done = work(bytes => {
      job.doneBytes = bytes
      job.totalBytes = Math.max(job.totalBytes, bytes)
    }).then(
      () => {
        job.state = 'done'
        job.doneBytes = job.totalBytes
      },
      (error: Error) => {
        job.state = 'failed'
        job.error = error.message
      },
    )
    const ended = done.then(() => {
      this.#running.delete(job.id)
    })
    this.#running.set(job.id, ended)
    return { ...job }
  }

  /** The scrub of the brick here; one that runs already is answered as it is. */
  startScrub(options: { bytesPerSecond?: number }): Job {
    const running = this.find('scrub', 'brick')
    if (running !== null) return running
    this.#brick.startScrub(options)
    this.#add('scrub', 'brick', this.#brick.scrub?.totalBytes ?? 0)
    return this.find('scrub', 'brick') ?? this.list().at(-1)!
  }

  /** Waits for the jobs that run, other than the scrub. */
  async settled(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  #add(kind: Job['kind'], subject: string, totalBytes: number): Mutable<Job> {
    const job: Mutable<Job> = {
      id: randomUUID(),
      kind,
      subject,
      doneBytes: 0,
      totalBytes,
      state: 'running',
      error: null,
    }
    this.#jobs.push(job)
    const ended = this.#jobs.findIndex(old => old.state !== 'running')
    if (this.#jobs.length > JOBS_KEPT && ended >= 0) this.#jobs.splice(ended, 1)
    return job
  }

  #readScrub(): void {
    const job = this.#jobs.findLast(({ kind }) => kind === 'scrub')
    const { scrub } = this.#brick
    if (job === undefined || job.state !== 'running' || scrub === null) return
    job.doneBytes = scrub.checkedBytes
    job.totalBytes = scrub.totalBytes
    if (scrub.endedAtMs !== null) job.state = 'done'
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from '../control/control.ts'
import { type ApiClient, segment } from './api-client.ts'
import { CliError, ExitCode } from './exit-codes.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

const POLL_MS = 200

/** Shows a job's progress until it ends. A failed job is a CliError. */
export async function followJob(
  client: ApiClient,
  terminal: Terminal,
  started: Job,
  label: string,
): Promise<Job> {
  const progress = new Progress(terminal.stderr, label)
  let job = started
  while (job.state === 'running') {
    progress.show(job.doneBytes, job.totalBytes)
    await sleep(POLL_MS)
    job = await client.get<Job>(`jobs/${segment(job.id)}`)
  }
  progress.end()
  if (job.state === 'failed') throw new CliError(ExitCode.refused, job.error ?? `${label} failed`)
  return job
}

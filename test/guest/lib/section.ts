import { afterAll, beforeAll, beforeEach } from 'vitest'
import { Daemon, type DaemonOptions } from '../../lib/daemon.ts'
import { directoryOfRun, type TemporaryDirectory } from '../../lib/temporary-directory.ts'
import { Guest, LINKS } from './guest.ts'

/** Where the daemon of a section listens: one portal on each link. */
export const PORTALS = LINKS.map(({ address }) => `${address}:3260`) as [string, string]

/** What the tests of one file share: a guest and a daemon, both fresh. */
export interface Section {
  readonly guest: Guest
  /** Replaced when a test restarts it. */
  daemon: Daemon
  readonly directory: string
}

/** Starts both before the first test of the file and ends both after the last. */
export function useSection(purpose: string, options: Partial<DaemonOptions> = {}): Section {
  const section = {} as { guest: Guest; daemon: Daemon; directory: string }
  let directory: TemporaryDirectory
  beforeAll(async () => {
    directory = directoryOfRun(`guest-${purpose}`)
    section.directory = directory.path
    const daemonOptions = { arguments: ['--no-demo'], iscsi: PORTALS, ...options, directory: directory.path }
    await allStarted([
      Guest.boot(directory.path).then(guest => {
        section.guest = guest
      }),
      Daemon.start(daemonOptions).then(daemon => {
        section.daemon = daemon
      }),
    ])
  })
  beforeEach(({ onTestFailed }) => onTestFailed(() => tellWhatHappened(section)))
  afterAll(async () => {
    await section.guest?.[Symbol.asyncDispose]()
    await section.daemon?.[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })
  return section
}

/** Waits for all, also when one fails: what did start can then be ended. Rejects with the first failure. */
export async function allStarted(starts: readonly Promise<unknown>[]): Promise<void> {
  const failure = (await Promise.allSettled(starts)).find(outcome => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
}

/** A failure in the guest is seldom understood without what the kernel and the daemon said. */
function tellWhatHappened({ guest, daemon }: Section): void {
  console.error(
    `--- console of the guest\n${guest.consoleTail()}\n--- log of the daemon\n${daemon.logTail()}`,
  )
}

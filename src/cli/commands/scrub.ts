import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { parseSize } from '../../lib/sizes.ts'
import { addClientOptions, type CommandContext, contextOf } from '../context.ts'
import { formatDetails } from '../output.ts'
import { Progress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'
import { formatShare } from './shown.ts'

interface ScrubShown {
  readonly state: 'never' | 'running' | 'ended'
  readonly checkedBytes: number
  readonly totalBytes: number
  readonly badBlocks: number
  readonly settledBlocks: number
  readonly startedAt: string | null
  readonly endedAt: string | null
}

const POLL_MS = 200

export function addScrubCommands(program: Command, terminal: Terminal): void {
  const scrub = addClientOptions(
    program
      .command('scrub')
      .description('reading everything that the daemon itself holds, and comparing checksums'),
  )

  addClientOptions(
    scrub
      .command('start')
      .description('start a scrub of what the daemon itself holds, unless one is running')
      .option('--bandwidth <size>', 'read at most this much a second (store.scrubBandwidth)')
      .option('--wait', 'show the progress until it ends'),
  ).action(async (flags: { bandwidth?: string; wait?: boolean }, command: Command) => {
    const context = contextOf(command, terminal)
    const bytesPerSecond = flags.bandwidth === undefined ? undefined : parseSize(flags.bandwidth)
    await context.client.post('scrub', { bytesPerSecond })
    await report(context, flags.wait === true)
  })
  addClientOptions(
    scrub
      .command('status')
      .description('the scrub that runs, or the last one')
      .option('--wait', 'show the progress until it ends'),
  ).action(async (flags: { wait?: boolean }, command: Command) =>
    report(contextOf(command, terminal), flags.wait === true),
  )
  addClientOptions(scrub.command('stop').description('stop the scrub')).action(
    async (_flags, command: Command) => {
      const context = contextOf(command, terminal)
      const shown = await context.client.delete<ScrubShown>('scrub')
      context.print(shown, () => scrubText(shown))
    },
  )
}

async function report(context: CommandContext, untilEnd: boolean): Promise<void> {
  let shown = await context.client.get<ScrubShown>('scrub')
  const progress = new Progress(context.terminal.stderr, 'scrubbing')
  while (untilEnd && shown.state === 'running') {
    progress.show(shown.checkedBytes, shown.totalBytes)
    await sleep(POLL_MS)
    shown = await context.client.get<ScrubShown>('scrub')
  }
  progress.end()
  context.print(shown, () => scrubText(shown))
}

function scrubText(scrub: ScrubShown): string {
  if (scrub.state === 'never') return 'no scrub since the daemon started\n'
  return formatDetails([
    ['scrub', scrub.state],
    ['checked', formatShare(scrub.checkedBytes, scrub.totalBytes)],
    ['bad blocks', String(scrub.badBlocks)],
    ['settled blocks', String(scrub.settledBlocks)],
    ['started', scrub.startedAt ?? '-'],
    ['ended', scrub.endedAt ?? '-'],
  ])
}

import { run, succeed } from '../lib/programs.ts'

/** Sanitize.Reset sleeps for a minute when it finds the sanitize still going, and it must. */
const TEST_TIMEOUT_MS = 130_000
/** Nobody sanitizes by accident: the suite wants to be told. */
const FLAGS = ['--dataloss', '--allow-sanitize', '--fail', '--verbose']

export interface SuiteOutcome {
  readonly state: 'passed' | 'failed' | 'skipped'
  /** What the suite says about a skip or a failure, in its words. */
  readonly message: string
  readonly output: string
}

/** Every test of the installed iscsi-test-cu, as FAMILY.SUITE.TEST, without the families that repeat others. */
export async function listSuiteTests(): Promise<string[]> {
  const listing = await succeed('iscsi-test-cu', ['--list'])
  return listing.split('\n').filter(line => /^(SCSI|iSCSI)\.[^.]+\.[^.]+$/.test(line))
}

/** Runs one test against one LUN, reached through one or two portals. */
export async function runSuiteTest(name: string, urls: readonly string[]): Promise<SuiteOutcome> {
  const { code, stdout, stderr } = await run('iscsi-test-cu', [...FLAGS, `--test=${name}`, ...urls], {
    timeoutMs: TEST_TIMEOUT_MS,
  })
  const output = stdout + stderr
  const said = (mark: string) => new RegExp(`\\[${mark}\\] *(.*)`).exec(output)?.[1]?.trim()
  if (code !== 0) {
    const why = code === null ? `killed after ${TEST_TIMEOUT_MS / 1000} s` : `ended with ${code}`
    return { state: 'failed', message: said('FAILED') ?? why, output }
  }
  const skipped = said('SKIPPED')
  if (skipped !== undefined) return { state: 'skipped', message: skipped, output }
  return { state: 'passed', message: '', output }
}

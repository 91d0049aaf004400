import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { ROOT } from './run.mjs'

/** Where the reporter of a part writes what `npm test` adds up. */
export const SUMMARY_VARIABLE = 'HOLDFAST_TEST_SUMMARY'

/** A vitest reporter that counts, and keeps the reason of each skip. */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: [] }
    for (const module of modules) {
      const failedToLoad = module.state() === 'failed' && module.errors().length > 0
      if (failedToLoad) summary.failed++
      for (const test of module.children.allTests()) {
        const { state, note } = test.result()
        if (state === 'passed') summary.passed++
        else if (state === 'failed') summary.failed++
        else
          summary.skipped.push({ name: `${relative(ROOT, module.moduleId)}: ${test.fullName}`, reason: note })
      }
    }
    writeFileSync(process.env[SUMMARY_VARIABLE], JSON.stringify(summary))
  }
}

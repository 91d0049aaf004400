import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { ROOT } from './run.mjs'

/** Where the reporter of a part writes what `npm test` adds up. HOLDFAST_ is the daemon's own prefix. */
export const SUMMARY_VARIABLE = 'TEST_SUMMARY_FILE'

/** A vitest reporter that counts, and keeps the reason of each skip. */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const names = { passedNames: [], failedNames: [], failedBecause: [] }
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: [], ...names }
    for (const module of modules) {
      if (module.errors().length > 0) summary.failed++
      const file = relative(ROOT, module.moduleId)
      for (const test of module.children.allTests()) {
        const { state, note, errors } = test.result()
        if (state === 'passed') {
          summary.passed++
          summary.passedNames.push(`${file} > ${test.fullName}`)
        } else if (state === 'failed' || wasPrevented(test)) {
          summary.failed++
          summary.failedNames.push(`${file} > ${test.fullName}`)
          summary.failedBecause.push(errors?.[0]?.message ?? null)
        } else summary.skipped.push({ name: `${file}: ${test.fullName}`, reason: note })
      }
    }
    writeFileSync(process.env[SUMMARY_VARIABLE], JSON.stringify(summary))
  }
}

/** Vitest calls tests skipped whose file or suite failed in a hook. */
function wasPrevented(test) {
  for (let suite = test.parent; suite.type === 'suite'; suite = suite.parent) {
    if (suite.errors().length > 0) return true
  }
  return test.module.errors().length > 0
}

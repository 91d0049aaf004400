import { createRequire } from 'node:module'
import { cruise } from 'dependency-cruiser'
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import { ROOT } from './lib/run.mjs'

// The import rules of .dependency-cruiser.cjs. A cruiser that cannot parse TypeScript finds nothing and is content,
// so it must also see the modules and the imports that are certainly there.
const MODULES_MIN = 50
const IMPORTS_MIN = 100

process.chdir(ROOT)
const { forbidden, options } = createRequire(import.meta.url)('../.dependency-cruiser.cjs')
const { output } = await cruise(['src'], { ...options, ruleSet: { forbidden }, validate: true }, undefined, {
  tsConfig: extractTSConfig('tsconfig.json'),
})
const modules = output.modules.filter(module => module.source.startsWith('src/'))
const imports = modules.reduce((sum, module) => sum + module.dependencies.length, 0)
for (const { rule, from, to, cycle } of output.summary.violations) {
  const path = cycle === undefined ? to : cycle.map(step => step.name).join(' -> ')
  console.error(`${rule.name}: ${from} -> ${path}`)
}
if (modules.length < MODULES_MIN || imports < IMPORTS_MIN) {
  console.error(
    `import rules: saw only ${modules.length} modules and ${imports} imports; the checker is blind`,
  )
  process.exitCode = 1
} else if (output.summary.violations.length > 0) {
  console.error(`import rules: ${output.summary.violations.length} broken`)
  process.exitCode = 1
}

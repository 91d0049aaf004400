import { defineSuite } from './define-suite.ts'

await defineSuite('512')

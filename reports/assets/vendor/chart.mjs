/** What chart.js and cohort.js use of D3. */
export { scaleLinear } from "d3-scale";
export { select } from "d3-selection";

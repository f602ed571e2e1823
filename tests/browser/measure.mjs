// Loads the page whose address is the first argument as often as the second says, and prints milliseconds as JSON.
import { launch } from './chromium.mjs';

const [url, runs] = [process.argv[2], Number(process.argv[3])];
const browser = await launch();
const times = [];
for (let run = 0; run < runs; run += 1) {
  // A context of its own, so that nothing is kept from the run before.
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  const page = await context.newPage();
  await page.goto(url, { waitUntil: 'load' });
  await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
  times.push(
    await page.evaluate(async () => {
      const [load] = performance.getEntriesByType('navigation');
      const [paint] = performance.getEntriesByName('first-contentful-paint');
      const begin = performance.now();
      window.scrollTo(0, document.documentElement.scrollHeight / 2);
      await new Promise((seen) => { requestAnimationFrame(() => requestAnimationFrame(seen)); });
      return {
        wait: load.responseStart - load.requestStart,
        receive: load.responseEnd - load.responseStart,
        paint: paint.startTime - load.responseStart,
        load: load.loadEventStart - load.responseStart,
        scroll: performance.now() - begin,
        bytes: load.decodedBodySize,
        sent: load.encodedBodySize,
        elements: document.getElementsByTagName('*').length,
        rows: document.getElementsByClassName('i').length,
      };
    }),
  );
  await context.close();
}
await browser.close();
console.log(JSON.stringify(times));

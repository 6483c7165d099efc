// h3's first app (h3.dev); its last statement was serve(app, { port: 3000 }).
import { H3 } from "h3";

const app = new H3().get("/", () => "Hello World!");

export default app;

// Whoever reads the sign-in page is signed out, in whichever way that came about.

import { forget } from "./forget.js";

void forget();

// Stands in for MathJax where npm could not bring it: the stylesheet then sets formulas as code.
document.documentElement.classList.add("maths-as-text");

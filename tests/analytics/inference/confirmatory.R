# Made the figures in confirmatory_reference.json: R 4.2.2 with clubSandwich, from Debian 12.
# Rscript confirmatory.R confirmatory_sample.csv
library(clubSandwich)
data <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = TRUE)
fit <- lm(final ~ 0 + cell + I(baseline - mean(baseline)), data = data)
cells <- sub("^cell", "", names(coef(fit)))
weight <- function(by_location) sapply(cells, function(code) {
  part <- strsplit(code, "-")[[1]]
  if (length(part) != 3) return(0)
  w <- if (part[1] %in% names(by_location)) by_location[[part[1]]] else 0
  ifelse(part[3] == "D", w, -w) / 3
})
primary <- weight(c(L1 = 1, L2 = -1/3, L3 = -1/3, L4 = -1/3))
type <- weight(c(L1 = 1/4, L2 = 1/4, L3 = 1/4, L4 = 1/4))
show <- function(name, row, vcov, df) {
  value <- sum(row * coef(fit))
  se <- sqrt(drop(t(row) %*% vcov %*% row))
  p <- 2 * pt(-abs(value / se), df)
  cat(sprintf('"%s": [%.10f, %.10f, %.10f, %.10f]', name, value, se, df, p))
}
cat("{")
show("primary", primary, vcov(fit), df.residual(fit)); cat(",\n")
show("type", type, vcov(fit), df.residual(fit)); cat(",\n")
for (cluster in c("school", "facilitator")) {
  robust <- vcovCR(fit, cluster = data[[cluster]], type = "CR2")
  df <- linear_contrast(fit, vcov = robust, contrasts = matrix(primary, 1))$df
  show(paste0("primary_", cluster), primary, robust, df)
  if (cluster == "school") cat(",\n")
}
cat("}\n")

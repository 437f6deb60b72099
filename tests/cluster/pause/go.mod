module monopod.example/pause

go 1.25.0
